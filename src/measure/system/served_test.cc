#include "measure/system/served.h"

#include <gtest/gtest.h>

namespace assay::measure {
namespace {

Mount Of(std::string point, std::string type, std::string options = "rw") {
  return {.id = 1,
          .point = std::move(point),
          .type = std::move(type),
          .device = "0:999",
          .options = std::move(options)};
}

TEST(IsServedMount, ByTypeAndByWhereItLies) {
  const std::vector<Mount> mounts{Of("/", "ext4"),      Of("/home", "nfs4"),    Of("/home/a/disk", "ext4"),
                                  Of("/homes", "ext4"), Of("/x", "fuse.sshfs"), Of("/run", "tmpfs"),
                                  Of("/y", "virtiofs")};
  std::vector<std::string> served;
  for (const Mount& m : mounts)
    if (IsServedMount(m, mounts)) served.push_back(m.point);
  EXPECT_EQ(served, (std::vector<std::string>{"/home", "/home/a/disk", "/x", "/y"}));
}

TEST(IsServedMount, AnOverlayIsWhatItsLayersAre) {
  const std::vector<Mount> mounts{Of("/", "ext4"), Of("/srv", "fuse.x")};
  const auto served = [&](const std::string& options) {
    return IsServedMount(Of("/m", "overlay", options), mounts);
  };
  EXPECT_FALSE(served("rw,lowerdir=/var/l1:/var/l2,upperdir=/var/u,workdir=/var/w"));
  EXPECT_FALSE(served("ro,lowerdir+=/var/l1,lowerdir+=/var/l2"));
  EXPECT_TRUE(served("rw,lowerdir=/var/l1:/srv/l2,upperdir=/var/u"));
  EXPECT_TRUE(served("rw,lowerdir=/var/l1,upperdir=/srv/u"));
  EXPECT_TRUE(served("rw,lowerdir=l1,upperdir=/var/u")) << "relative: it can't be told";
  EXPECT_TRUE(served("rw"));
}

}  // namespace
}  // namespace assay::measure
