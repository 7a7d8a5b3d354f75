#include "measure/system/storage.h"

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/result_testing.h"

namespace assay::measure {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kExt4 = EXT4_SUPER_MAGIC;
constexpr std::uint64_t kXfs = 0x58465342;
constexpr char kPci[] = "devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/";
constexpr char kVirtual[] = "devices/virtual/block/";

// A folder tree in the form of sysfs.
class StorageStack : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-storage-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    fs::create_directories(root_ / "dev/block");
    fs::create_directories(root_ / "fs/btrfs/features");
    Device(std::string(kPci) + "sda", "8:0");
    Device(std::string(kPci) + "sda/sda1", "8:1");
    Write(std::string(kPci) + "sda/sda1/partition", "1\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) { std::ofstream(root_ / path) << text; }
  void Device(const std::string& place, const std::string& number) {
    fs::create_directories(root_ / place);
    Write(place + "/dev", number + "\n");
    fs::create_symlink("../../" + place, root_ / "dev/block" / number);
  }
  // kind: "dm" or "md"
  void Stacked(const std::string& name, const std::string& number, const std::string& kind,
               const std::vector<std::string>& below) {
    const std::string place = kVirtual + name;
    Device(place, number);
    fs::create_directories(root_ / place / kind);
    fs::create_directories(root_ / place / "slaves");
    for (const std::string& device : below)
      fs::create_symlink("../../../../../" + device, root_ / place / "slaves" / fs::path(device).filename());
  }
  Storage Judge(const FileSystem& what, const std::vector<Mount>& mounts = {}) {
    const Result<UniqueFd> root = Open(root_, O_RDONLY | O_DIRECTORY);
    return JudgeStorage(root->get(), what, mounts);
  }
  bool IsSteady(const std::string& number) { return Judge({.magic = kExt4, .device = number}).steady; }

  fs::path root_;
};

TEST_F(StorageStack, DisksAndTheirPartitionsAreSteady) {
  EXPECT_TRUE(IsSteady("8:0"));
  EXPECT_TRUE(IsSteady("8:1"));
  Device("devices/vbd-51712/block/xvda", "202:0");
  EXPECT_TRUE(IsSteady("202:0"));
}

TEST_F(StorageStack, WhatIsMappedOverDisksIsSteady) {
  Stacked("dm-0", "253:0", "dm", {std::string(kPci) + "sda/sda1"});  // LUKS
  Stacked("dm-1", "253:1", "dm", {std::string(kVirtual) + "dm-0"});  // LVM on it
  Stacked("md0", "9:0", "md", {std::string(kVirtual) + "dm-1", std::string(kPci) + "sda"});
  EXPECT_TRUE(IsSteady("253:0"));
  EXPECT_TRUE(IsSteady("253:1"));
  EXPECT_TRUE(IsSteady("9:0"));
}

TEST_F(StorageStack, ALoopDeviceAnywhereIsNot) {
  Device(std::string(kVirtual) + "loop0", "7:0");
  Device(std::string(kVirtual) + "loop0/loop0p1", "259:0");
  Write(std::string(kVirtual) + "loop0/loop0p1/partition", "1\n");
  Stacked("dm-0", "253:0", "dm", {std::string(kPci) + "sda", std::string(kVirtual) + "loop0/loop0p1"});
  Stacked("md0", "9:0", "md", {std::string(kVirtual) + "dm-0"});
  for (const char* number : {"7:0", "259:0", "253:0", "9:0"}) {
    const Storage s = Judge({.magic = kExt4, .device = number});
    EXPECT_FALSE(s.steady) << number;
    EXPECT_FALSE(s.served) << number;
    EXPECT_NE(s.why.find("loop0"), std::string::npos) << s.why;
  }
}

TEST_F(StorageStack, WhatAProgramOrAnotherMachineServesIsNotAndMayBlock) {
  const char* const places[] = {
      "devices/virtual/block/nbd0",
      "devices/virtual/block/ublkb0",
      "devices/virtual/block/drbd0",
      "devices/virtual/block/bcache0",
      "devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1",
      "devices/virtual/vduse/control/vda/virtio3/block/vdb",
      "devices/platform/host2/session1/target2:0:0/2:0:0:0/block/sdb",
      "devices/pci0000:00/0000:00:02.0/host3/session2/target3:0:0/3:0:0:0/block/sdc",
      "devices/platform/vhci_hcd.0/usb3/3-1/3-1:1.0/host4/target4:0:0/4:0:0:0/block/sdd",
      "devices/tcm_loop_0/tcm_loop_adapter_0/host5/target5:0:1/5:0:1:0/block/sde",
      "devices/pseudo_0/adapter0/host6/target6:0:0/6:0:0:0/block/sdf",
      "devices/something-new/block/xyz"};
  int minor = 0;
  for (const char* place : places) {
    const std::string number = "100:" + std::to_string(minor++);
    Device(place, number);
    const Storage s = Judge({.magic = kExt4, .device = number});
    EXPECT_FALSE(s.steady) << place;
    EXPECT_TRUE(s.served) << place;
  }
}

TEST_F(StorageStack, NvmeWithSeveralPathsIsAsItsControllersAre) {
  Device("devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:1");
  fs::create_directories(root_ / "devices/pci0000:00/0000:00:03.0/nvme/nvme0");
  fs::create_symlink("../../../pci0000:00/0000:00:03.0/nvme/nvme0",
                     root_ / "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0");
  EXPECT_TRUE(IsSteady("259:1"));
  fs::create_directories(root_ / "devices/virtual/nvme-fabrics/ctl/nvme1");
  fs::create_symlink("../../nvme-fabrics/ctl/nvme1",
                     root_ / "devices/virtual/nvme-subsystem/nvme-subsys0/nvme1");
  EXPECT_FALSE(IsSteady("259:1"));
}

TEST_F(StorageStack, WhatIsNotFoundOrNotUnderstoodIsNot) {
  EXPECT_FALSE(IsSteady("8:77"));
  Stacked("dm-0", "253:0", "dm", {});  // zeros
  EXPECT_FALSE(IsSteady("253:0"));
  Stacked("dm-1", "253:1", "dm", {"devices/virtual/block/gone"});
  EXPECT_FALSE(IsSteady("253:1"));
  Stacked("dm-2", "253:2", "dm", {std::string(kPci) + "sda"});
  Write(std::string(kPci) + "sda/dev", "8:0/../../7:0\n");
  EXPECT_FALSE(IsSteady("253:2"));
  // A link that leads outside the devices.
  fs::create_directories(root_ / "module/x");
  fs::create_symlink("../../module/x", root_ / "dev/block/1:1");
  EXPECT_FALSE(IsSteady("1:1"));
}

TEST_F(StorageStack, ACircleEnds) {
  Stacked("dm-0", "253:0", "dm", {std::string(kVirtual) + "dm-1"});
  Stacked("dm-1", "253:1", "dm", {std::string(kVirtual) + "dm-0", std::string(kPci) + "sda"});
  EXPECT_TRUE(IsSteady("253:0"));
}

TEST_F(StorageStack, MoreDevicesThanAnyoneHasAreNot) {
  std::vector<std::string> disks;
  for (int i = 0; i < 300; ++i) {
    disks.push_back("devices/pci0000:00/block/disk" + std::to_string(i));
    Device(disks.back(), "66:" + std::to_string(i));
  }
  Stacked("dm-0", "253:0", "dm", disks);
  EXPECT_FALSE(IsSteady("253:0"));
}

TEST_F(StorageStack, BtrfsIsAsAllItsDevicesAre) {
  const FileSystem btrfs{.magic = BTRFS_SUPER_MAGIC, .device = "0:33"};
  EXPECT_FALSE(Judge(btrfs).steady);  // it is unknown for any of them
  fs::create_directories(root_ / "fs/btrfs/1111-22/devices");
  fs::create_symlink(std::string("../../../../") + kPci + "sda", root_ / "fs/btrfs/1111-22/devices/sda");
  EXPECT_TRUE(Judge(btrfs).steady);
  Device(std::string(kVirtual) + "loop0", "7:0");
  fs::create_symlink(std::string("../../../../") + kVirtual + "loop0",
                     root_ / "fs/btrfs/1111-22/devices/loop0");
  EXPECT_FALSE(Judge(btrfs).steady);
}

TEST_F(StorageStack, SomeFileSystemsHaveMoreThanTheirDevice) {
  EXPECT_FALSE(Judge({.magic = EROFS_SUPER_MAGIC_V1, .device = "8:1"}).steady);
  EXPECT_FALSE(Judge({.magic = F2FS_SUPER_MAGIC, .device = "8:1"}).steady);
  EXPECT_FALSE(Judge({.magic = EROFS_SUPER_MAGIC_V1, .device = "0:44"})
                   .steady);  // an image file, without a loop device
  EXPECT_FALSE(Judge({.magic = kExt4, .device = "0:44"}).steady);
  const FileSystem xfs{.magic = kXfs, .device = "8:1"};
  EXPECT_FALSE(Judge(xfs).steady);
  Mount mount{.id = 1, .point = "/", .type = "xfs", .device = "8:1", .options = "rw,attr2"};
  EXPECT_TRUE(Judge(xfs, {mount}).steady);
  mount.options += ",rtdev=/dev/loop0";
  EXPECT_FALSE(Judge(xfs, {mount}).steady);
}

TEST(Sysfs, ThisMachinesRootIsJudged) {
  const Result<UniqueFd> sysfs = Open("/sys", O_RDONLY | O_DIRECTORY);
  ASSERT_THAT(sysfs, IsOk());
  const Storage s = JudgeStorage(sysfs->get(), {.magic = kExt4, .device = "7:0"}, {});
  EXPECT_FALSE(s.steady);
}

}  // namespace
}  // namespace assay::measure
