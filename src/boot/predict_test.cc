#include "boot/predict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "boot/log_builder.h"
#include "boot/pe.h"
#include "boot/pe_builder.h"

namespace assay::boot {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
constexpr HashAlg kBank = HashAlg::kSha256;
using Sections = std::vector<std::pair<std::string, Bytes>>;

Bytes Kernel(std::uint8_t fill) {
  Bytes code = BytesOf("LOADED_IMAGE::LoadOptions Linux initrd");
  code.resize(600, fill);
  return BuildPe({{".text", code}});
}
Bytes Unified(const Sections& sections, const std::string& version = "252.39-1") {
  Sections all = {{".sdmagic", BytesOf("#### LoaderInfo: systemd-stub " + version + " ####")}};
  all.insert(all.end(), sections.begin(), sections.end());
  return BuildPe(all);
}
Sections Parts(std::uint8_t kernel, const std::string& command_line, const std::string& initrd) {
  return {{".osrel", BytesOf("ID=debian")},
          {".cmdline", BytesOf(command_line)},
          {".linux", Kernel(kernel)},
          {".initrd", BytesOf(initrd)}};
}

Bytes Tagged(std::uint32_t tag, std::string_view text) {
  Writer w;
  w.U32Le(tag).U32Le(static_cast<std::uint32_t>(text.size())).Put(text);
  return w.Take();
}

// A log in the making, as firmware, systemd's stub and the kernel's write it.
struct Boot {
  LogBuilder log{{kBank}};
  Boot& Image(const Bytes& file) {
    const Digest digest = ParsePe(file)->Authenticode(kBank);
    log.AddDigests(4, kEfiBootServicesApplication, Bytes(32), {digest});
    return *this;
  }
  Boot& Section(const std::string& name, const Bytes& content) {
    log.Add(11, kIpl, Utf16(name), BytesOf(name + '\0'));
    log.Add(11, kIpl, Utf16(name), content);
    return *this;
  }
  Boot& Unified(const Bytes& file, const Sections& parts) {
    log.Firmware(false).ReadyToBoot();
    Image(file);
    for (const char* name : {".linux", ".osrel", ".cmdline", ".initrd"}) {
      for (const auto& [part, content] : parts) {
        if (part == name) Section(part, content);
      }
    }
    return *this;
  }
  Boot& Stub(const Bytes& options, const Bytes& initrd) {
    log.Add(9, kEventTag, Tagged(kTagLoadOptions, "LOADED_IMAGE::LoadOptions"), options);
    log.Add(9, kEventTag, Tagged(kTagInitrd, "Linux initrd"), initrd);
    log.Exit();
    return *this;
  }
};

Result<ExpectedBoot> PredictFrom(const LogBuilder& log, const Prediction& change) {
  const auto parsed = ParseEventLog(log.bytes());
  EXPECT_THAT(parsed, IsOk());
  return Predict(Examine(*parsed, kBank), change);
}
ExpectedBoot LearnFrom(const LogBuilder& log) {
  const auto parsed = ParseEventLog(log.bytes());
  EXPECT_THAT(parsed, IsOk());
  return Learn(Examine(*parsed, kBank));
}
std::vector<std::uint32_t> OpenOf(const ExpectedBoot& boot) {
  std::vector<std::uint32_t> out;
  for (const OpenRegister& r : boot.open) out.push_back(r.index);
  return out;
}

class UnifiedUpdate : public ::testing::Test {
 protected:
  Sections old_parts = Parts(1, "root=/dev/vda", "old initrd"),
           new_parts = Parts(2, "root=/dev/vda quiet", "new initrd");
  Bytes old_file = Unified(old_parts), new_file = Unified(new_parts);
  Prediction Change() const { return {{{"old.efi", "new.efi", old_file, new_file}}, {}}; }
  // A whole boot of such an image; kernel_image: the firmware measures the stub's kernel too.
  static Boot Whole(const Bytes& file, const Sections& parts, bool kernel_image = true) {
    Boot boot;
    boot.Unified(file, parts);
    if (kernel_image) boot.Image(parts[2].second);
    boot.Stub(Utf16(AsText(parts[1].second)), parts[3].second);
    return boot;
  }
};

TEST_F(UnifiedUpdate, IsTheBootThatFollows) {
  for (bool kernel_image : {true, false}) {
    const auto next = PredictFrom(Whole(old_file, old_parts, kernel_image).log, Change());
    ASSERT_THAT(next, IsOk());
    EXPECT_THAT(next->open, IsEmpty());
    const auto diff = Diff(*next, LearnFrom(Whole(new_file, new_parts, kernel_image).log));
    ASSERT_THAT(diff, IsOk());
    EXPECT_THAT(*diff, IsEmpty());
    const Boot after = Whole(new_file, new_parts, kernel_image);  // the parsed log points into its bytes
    const auto log = ParseEventLog(after.log.bytes());
    for (std::uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      EXPECT_EQ(Replay(*next).Value(kBank, pcr), Replay(*log).Value(kBank, pcr)) << pcr;
  }
}

TEST_F(UnifiedUpdate, AnotherBootThanForetoldIsNamed) {
  const auto next = PredictFrom(Whole(old_file, old_parts).log, Change());
  ASSERT_THAT(next, IsOk());
  Sections other = new_parts;
  other[3].second = BytesOf("evil initrd");
  const auto diff = Diff(*next, LearnFrom(Whole(Unified(other), other).log));
  ASSERT_THAT(diff, IsOk());
  std::vector<std::string> gone;
  for (const BootDifference& d : *diff) {
    if (!d.added) gone.push_back(d.event.label);
  }
  EXPECT_THAT(gone, ElementsAre("image new.efi", ".initrd of new.efi", ".initrd of new.efi"));
}

TEST_F(UnifiedUpdate, SectionsMayComeAndGo) {
  new_parts.erase(new_parts.begin());  // .osrel
  new_parts.emplace_back(".splash", BytesOf("BM"));
  new_file = Unified(new_parts);
  const auto next = PredictFrom(Whole(old_file, old_parts).log, Change());
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT(next->open, IsEmpty());
  std::vector<std::string> labels;
  for (const ExpectedEvent& e : next->events) {
    if (e.index == 11) labels.push_back(e.label);
  }
  EXPECT_THAT(labels,
              ElementsAre("name .linux", ".linux of new.efi", "name .cmdline", ".cmdline of new.efi",
                          "name .initrd", ".initrd of new.efi", "name .splash", ".splash of new.efi"));
}

TEST_F(UnifiedUpdate, WhatDoesNotFollowIsLeftOpen) {
  const auto open = [&](const Bytes& file) {
    const auto next = PredictFrom(Whole(old_file, old_parts).log, {{{"old", "new", old_file, file}}, {}});
    EXPECT_THAT(next, IsOk());
    return OpenOf(*next);
  };
  EXPECT_THAT(open(Unified(new_parts, "257.1")), ElementsAre(4, 9, 11, 12, 13));
  Sections parts = new_parts;
  parts.emplace_back(".uname", BytesOf("6.12"));  // this stub's version may measure it or not
  EXPECT_THAT(open(Unified(parts)), ElementsAre(11));
  parts = new_parts;
  parts.emplace_back(".pcrpkey", BytesOf("key"));  // becomes a part of the initrd
  EXPECT_THAT(open(Unified(parts)), ElementsAre(9));
  parts = new_parts;
  parts[2].second = BuildPe({{".text", Bytes(600)}});  // a kernel that measures nothing
  EXPECT_THAT(open(Unified(parts)), ElementsAre(9));
  parts = new_parts;
  parts[1].second = BytesOf("quiet \n");  // the log does not tell which form the stub makes of it
  EXPECT_THAT(open(Unified(parts)), ElementsAre(9));
}

TEST_F(UnifiedUpdate, AnInitrdWithCredentialsIsLeftOpen) {
  Boot boot;
  boot.Unified(old_file, old_parts).Image(old_parts[2].second);
  boot.Stub(Utf16("root=/dev/vda"), BytesOf("old initrd and an archive"));
  const auto next = PredictFrom(boot.log, Change());
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT(OpenOf(*next), ElementsAre(9));
  EXPECT_FALSE(Replay(*next).Value(kBank, 9));
}

TEST_F(UnifiedUpdate, AGivenCommandLineStays) {
  const auto with_options = [](const Bytes& file, const Sections& parts) {
    Boot boot;
    boot.Unified(file, parts);
    boot.log.Add(12, kIpl, Utf16("debug"));
    boot.Image(parts[2].second).Stub(Utf16("debug"), parts[3].second);
    return boot;
  };
  const auto next = PredictFrom(with_options(old_file, old_parts).log, Change());
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT(next->open, IsEmpty());
  EXPECT_THAT(*Diff(*next, LearnFrom(with_options(new_file, new_parts).log)), IsEmpty());
}

TEST_F(UnifiedUpdate, AFileThatWasNotBootedExplainsNothing) {
  const auto next = PredictFrom(Whole(new_file, new_parts).log, Change());
  ASSERT_THAT(next, FailsWith("boot.unexplained"));
}

TEST_F(UnifiedUpdate, TheOtherMustBeOfTheSameKind) {
  const LogBuilder log = Whole(old_file, old_parts).log;
  const Bytes kernel = Kernel(3), text = BytesOf("text");
  EXPECT_THAT(PredictFrom(log, {{{"a", "b", old_file, kernel}}, {}}), FailsWith("boot.not-predictable"));
  EXPECT_THAT(PredictFrom(log, {{{"a", "b", old_file, text}}, {}}), FailsWith("boot.not-predictable"));
  EXPECT_THAT(PredictFrom(log, {{{"a", "b", old_file, Bytes()}}, {}}), FailsWith("boot.not-predictable"));
}

// shim, GRUB and a kernel: images by their Authenticode hash, files by their content, texts by what GRUB ran.
Boot GrubBoot(const Bytes& grub, const Bytes& kernel, const std::string& initrd, const std::string& version) {
  Boot boot;
  boot.log.Firmware(false).ReadyToBoot();
  boot.Image(BuildPe({{".text", Bytes(20, 9)}})).Image(grub);
  const auto command = [&](const std::string& prefix, const std::string& text) {
    boot.log.Add(8, kIpl, BytesOf(prefix + text + '\0'), BytesOf(text));
  };
  boot.log.Add(9, kIpl, BytesOf("(hd0,gpt2)/boot/grub/grub.cfg"), BytesOf("menuentry"));
  command("grub_cmd: ", "linux /boot/vmlinuz-" + version + " ro");
  boot.log.Add(9, kIpl, BytesOf("(hd0,gpt2)/boot/vmlinuz"), kernel);
  boot.Image(kernel);
  command("kernel_cmdline: ", "/boot/vmlinuz-" + version + " ro");
  command("grub_cmd: ", "initrd /boot/initrd.img-" + version);
  boot.log.Add(9, kIpl, BytesOf("(hd0,gpt2)/boot/initrd"), BytesOf(initrd));
  boot.log.Exit();
  return boot;
}

TEST(GrubUpdate, IsTheBootThatFollows) {
  const Bytes grub = BuildPe({{".text", Bytes(30, 1)}}), old_kernel = Kernel(1), new_kernel = Kernel(2);
  const Bytes old_initrd = BytesOf("old initrd"), new_initrd = BytesOf("new initrd");
  const Boot before = GrubBoot(grub, old_kernel, "old initrd", "6.1.0-10"),
             after = GrubBoot(grub, new_kernel, "new initrd", "6.1.0-11");
  const Prediction change = {
      {{"vmlinuz", "vmlinuz.new", old_kernel, new_kernel}, {"initrd", "initrd.new", old_initrd, new_initrd}},
      {{"6.1.0-10", "6.1.0-11"}}};
  const auto next = PredictFrom(before.log, change);
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT(next->open, IsEmpty());
  EXPECT_THAT(*Diff(*next, LearnFrom(after.log)), IsEmpty());
  EXPECT_THAT(PredictFrom(before.log, {{}, {{"6.1.0-12", "6.1.0-13"}}}), FailsWith("boot.unexplained"));
}

// With Secure Boot on, the certificate that verified the old image must verify the new one.
TEST(SecureBootUpdate, AsksWhoVerifiesTheNewImage) {
  const auto data = [](const std::string& name) { return *ReadFile(TestData() + "/pe/" + name, kMaxPe); };
  const Bytes signed_by_one = data("sbsign.efi"), plain = data("unified.efi"), signer = data("signer.der"),
              other = data("other.der");
  const auto log_with = [&](const Bytes& authority, const Bytes& db_certificate) {
    Boot boot;
    Writer list;
    PutGuid(list, {0xa5c059a1, 0x94e4, 0x4aa7, 0x87b5ab155c2bf072});
    list.U32Le(static_cast<std::uint32_t>(28 + 16 + db_certificate.size())).U32Le(0);
    list.U32Le(static_cast<std::uint32_t>(16 + db_certificate.size())).Put(Bytes(16)).Put(db_certificate);
    boot.log.Add(7, kEfiVariableDriverConfig, VariableData(kGlobalGuid, "SecureBoot", {1}));
    boot.log.Add(7, kEfiVariableDriverConfig, VariableData(kDatabaseGuid, "db", list.Take())).Separators({7});
    Bytes entry(16);
    entry.insert(entry.end(), authority.begin(), authority.end());
    boot.log.Add(7, kEfiVariableAuthority, VariableData(kDatabaseGuid, "db", entry)).ReadyToBoot();
    boot.Image(signed_by_one);
    return boot.log;
  };
  const auto predict = [&](const LogBuilder& log, const Bytes& next) {
    return PredictFrom(log, {{{"old", "new", signed_by_one, next}}, {}});
  };
  const Bytes again = data("osslsigncode.efi");
  const auto same = predict(log_with(signer, signer), again);
  ASSERT_THAT(same, IsOk());
  EXPECT_THAT(same->open, IsEmpty());
  EXPECT_THAT(predict(log_with(signer, signer), plain), FailsWith("boot.not-bootable"));
  EXPECT_THAT(OpenOf(*predict(log_with(other, signer), again)), ElementsAre(7));
  EXPECT_THAT(predict(log_with(other, other), again), FailsWith("boot.not-bootable"));
}

}  // namespace
}  // namespace assay::boot
