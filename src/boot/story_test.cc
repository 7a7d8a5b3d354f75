#include "boot/story.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/fd.h"
#include "base/real_data.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "boot/examine_testing.h"
#include "boot/expected.h"
#include "boot/replay.h"

namespace assay::boot {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Padded, AStartupLocalityCounts) {
  for (const Bytes& more : {Bytes(3), Bytes{1, 2}}) {
    LogBuilder b({kBank});
    b.Add(0, kNoAction, Join(StartupLocalityData(3), more)).Firmware().ReadyToBoot();
    const auto log = ParseEventLog(b.bytes());
    ASSERT_THAT(log, IsOk());
    EXPECT_EQ(Replay(*log).startup_locality, 3);
    EXPECT_EQ(!Look(b.bytes()).names.empty(), more[0] != 0);  // zeros are a note
  }
  const Bytes padded = RealData("../trials/locality3-padded-zero.bin");
  if (padded.empty()) GTEST_SKIP() << NoRealData();
  EXPECT_EQ(Replay(*ParseEventLog(padded)).Value(kBank, 0)->hex(),
            "d4b03a7d653bafaee216220e1f7e3377e15202ba828d007285016969ffc0547b");
}

TEST(Padded, ASeparatorIsItsFirstFourBytes) {
  const auto pcr6 = [](const Bytes& data, const Bytes& hashed) {
    LogBuilder b({kBank});
    b.Firmware().Separators({0, 1, 2, 3, 4, 5}).Add(6, kSeparator, data, hashed);
    return Look(b.bytes()).names;
  };
  EXPECT_THAT(pcr6(Bytes(16), Bytes(4)), IsEmpty());
  EXPECT_THAT(pcr6({0, 0, 0, 0, 7}, Bytes(4)), testing::ElementsAre("data.trailing"));
  EXPECT_THAT(pcr6(Bytes(16), Bytes(16)), Contains("separator.value"));
}

TEST(Padded, StructuresAreReadByTheirContent) {
  Writer gpt;
  gpt.Put("EFI PART").Put(Bytes(76)).U32Le(128).Put(Bytes(4)).U64Le(0);
  const Bytes tables = Writer().U64Le(1).Put(Bytes(24, 1)).Take(), blob = Writer().U64Le(1).U64Le(2).Take();
  const Bytes tag = Writer().U32Le(kTagInitrd).U32Le(4).Put("abcd").Take();
  LogBuilder b = Good();
  b.Add(5, kEfiGptEvent, Join(gpt.bytes(), Bytes(8)), gpt.bytes());
  b.Add(1, kEfiHandoffTables, Join(tables, Bytes(8)), BytesOf("x"));
  b.Add(0, kEfiPlatformFirmwareBlob, Join(blob, Bytes(8)), BytesOf("code"));
  b.Add(9, kEventTag, Join(tag, {1}), BytesOf("abcd"));
  const auto log = ParseEventLog(b.bytes());
  ASSERT_THAT(log, IsOk());
  const Examined x = Examine(*log, kBank);
  for (std::size_t i = x.size() - 4; i < x.size(); ++i) {
    EXPECT_EQ(x.decoded[i].fault, "") << i;
    EXPECT_EQ(x.decoded[i].trailing.size(), i + 1 == x.size() ? 1U : 8U) << i;
  }
  EXPECT_EQ(x.proofs[x.size() - 4].grade, Grade::kPartly);
  EXPECT_EQ(x.proofs[x.size() - 1].grade, Grade::kPartly);
}

TEST(StrayBytes, ATextEndsAtItsNul) {
  const auto text = [](std::string_view prefix, std::string_view rest) {
    return BytesOf(std::string(prefix) + "root=/dev/sda1 quiet" + std::string(1, '\0') + std::string(rest));
  };
  const Bytes hashed = BytesOf("root=/dev/sda1 quiet");
  for (const Bytes& measured : {hashed, Join(hashed, {0})}) {
    const auto story = Look(Good().Add(8, kIpl, text("kernel_cmdline: ", "Z"), measured).bytes()).story;
    EXPECT_EQ(LineOf(story, "command-line"), "partly: root=/dev/sda1 quiet");
    EXPECT_THAT(Find(story, "command-line")->details, Contains(HasSubstr("1 bytes follow: Z")));
  }
  // UTF-16, as systemd logs a command line.
  const auto story =
      Look(Good()
               .Add(12, kIpl, Join(Utf16("root=/dev/sda1 quiet"), {7}), Utf16("root=/dev/sda1 quiet"))
               .bytes())
          .story;
  EXPECT_THAT(LineOf(story, "addon"), HasSubstr("root=/dev/sda1 quiet"));
  EXPECT_THAT(Look(Good().Add(8, kIpl, text("kernel_cmdline: ", "Z"), hashed).bytes()).names,
              Contains("data.trailing"));
  EXPECT_THAT(Look(Good().Add(8, kIpl, text("kernel_cmdline: ", std::string(3, '\0')), hashed).bytes()).names,
              IsEmpty());
}

TEST(StrayBytes, AMakersStructureIsNoText) {
  LogBuilder b({kBank});
  b.Add(0, kNonhostInfo, BytesOf(std::string_view("Maker NonHostInfo\0\1\2", 20))).Firmware().ReadyToBoot();
  const Looked looked = Look(b.bytes());
  EXPECT_THAT(looked.names, IsEmpty());
  EXPECT_NE(Find(looked.story, "not-understood"), nullptr);
}

// Whoever edits the log chooses type and data; the event itself can't go.
TEST(Story, WhatIsNotUnderstoodIsShown) {
  const Bytes cmdline = BytesOf("init=/evil");
  const struct {
    std::uint32_t index, type;
    Bytes data;
    std::string_view shown;
  } cases[] = {
      {8, kIpl, BytesOf("init=/evil"), "init=/evil"},  // without GRUB's prefix
      {8, kIpl, {1, 2, 'i', 'n', 'i', 't'}, "init"},
      {8, kIpl, {}, "no data"},
      {8, 0x12345678, {0xFF}, "0x12345678"},
      {8, kEfiHandoffTables, Bytes(8), "EV_EFI_HANDOFF_TABLES"},
      {8, kSeparator, BytesOf("x"), "EV_SEPARATOR"},
      {12, kEventTag, {1}, "EV_EVENT_TAG"},
      {4, kEfiBootServicesApplication, {1, 2, 3}, "EV_EFI_BOOT_SERVICES_APPLICATION"},
      {4, kEfiAction, BytesOf("Calling EFI Application"), "Calling EFI Application"},
      {4, kEfiPlatformFirmwareBlob, BytesOf("x1"), "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
      {7, kEfiVariableAuthority, {1}, "EV_EFI_VARIABLE_AUTHORITY"},
  };
  for (const auto& c : cases) {
    const Bytes measured = c.data == cmdline ? cmdline : BytesOf("something else");
    LogBuilder b =
        Good().Add(8, kIpl, BytesOf("grub_cmd: ls"), BytesOf("ls")).Add(c.index, c.type, c.data, measured);
    const auto story = Look(b.bytes()).story;
    const std::uint64_t number = ParseEventLog(b.bytes())->events.size() - 1;
    const auto it = std::find_if(story.begin(), story.end(), [&](const StoryLine& l) {
      return std::find(l.events.begin(), l.events.end(), number) != l.events.end();
    });
    ASSERT_NE(it, story.end()) << c.shown;
    std::string all = it->text;
    for (const std::string& d : it->details) all += d;
    EXPECT_THAT(all, HasSubstr(std::string(c.shown)));
    EXPECT_THAT(it->topic, testing::AnyOf("other", "not-understood"));
  }
  // A control character in GRUB's command line does not make it bytes.
  const Bytes odd = BytesOf("kernel_cmdline: a\x01 init=/evil");
  EXPECT_EQ(LineOf(Look(Good().Add(8, kIpl, odd, BytesOf("a\x01 init=/evil")).bytes()).story, "command-line"),
            "partly: a\\x01 init=/evil");
}

TEST(Story, AHealthyLogLeavesNothingUntold) {
  const auto story = Look(Good().Exit().bytes()).story;
  EXPECT_EQ(Find(story, "other"), nullptr);
  EXPECT_EQ(Find(story, "not-understood"), nullptr);
}

TEST(Story, OthersStrayBytesAreTold) {
  const Bytes bytes = RealData("../trials/r3-grub-stray-byte.bin");
  if (bytes.empty()) GTEST_SKIP() << NoRealData();
  const Looked looked = Look(bytes);
  EXPECT_THAT(looked.names, Contains("data.trailing"));
  EXPECT_NE(Find(looked.story, "command-line"), nullptr);
}

TEST(Story, AListOfShimsIsToldOnce) {
  LogBuilder b({HashAlg::kSha384});
  b.Separators({1, 2});
  b.Add(3, kIpl, BytesOf("kernel_cmdline: a"), BytesOf("a"))
      .Add(3, kIpl, BytesOf("MokList"), BytesOf("keys"));
  const auto story = Look(b.bytes()).story;
  EXPECT_NE(Find(story, "shim"), nullptr);
  EXPECT_EQ(Find(story, "loader-file"), nullptr);
}

TEST(Story, ATagOfBytesHasNoText) {
  const auto tag = [](std::uint32_t id, const Bytes& data) {
    return Writer().U32Le(id).U32Le(static_cast<std::uint32_t>(data.size())).Put(data).Take();
  };
  const Bytes bytes = {2, 0, 5, 0, 7, 0, 0xC4, 0x30};
  EXPECT_EQ(LineOf(Look(Good().Add(12, kEventTag, tag(0x40010001, bytes)).bytes()).story, "loader"),
            "proven: Windows, trust boundary, 8 bytes");
  EXPECT_EQ(LineOf(Look(Good().Add(12, kEventTag, tag(0x11223344, bytes)).bytes()).story, "addon"),
            "proven: tag 0x11223344, 8 bytes");
  EXPECT_EQ(LineOf(Look(Good().Add(12, kEventTag, tag(0x11223344, BytesOf("words"))).bytes()).story, "addon"),
            "proven: tag 0x11223344: words");
}

TEST(Story, WhatIsEmptyIsSaidToBe) {
  LogBuilder b({kBank});
  b.Add(0, kSCrtmVersion, Utf16(""));
  const Bytes option = Writer().U32Le(1).U16Le(0).Put(Utf16("Setup")).Take();
  b.Add(1, kEfiVariableBoot2, VariableData(kGlobalGuid, "Boot0001", option));
  const auto story = Look(b.Firmware().ReadyToBoot().bytes()).story;
  EXPECT_EQ(LineOf(story, "firmware"), "proven: S-CRTM version \"\"");
  ASSERT_NE(Find(story, "boot-entry"), nullptr);
  EXPECT_EQ(Find(story, "boot-entry")->text, "Boot0001: Setup");
  EXPECT_THAT(Find(story, "boot-entry")->details, IsEmpty());
}

TEST(Story, ImaRecordsOfACanonicalLog) {
  const auto sized = [](const Bytes& value) {
    return Writer().U32Le(static_cast<std::uint32_t>(value.size())).Put(value).Take();
  };
  const Bytes ng = Join(sized(Join(BytesOf(std::string_view("sha256:\0", 8)), Bytes(32, 5))),
                        sized(BytesOf(std::string_view("/bin/tool\0", 10))));
  const Bytes content =
      Writer().U8(0).U32Be(6).Put("ima-ng").U8(1).U32Be(static_cast<std::uint32_t>(ng.size())).Put(ng).Take();
  const Bytes tlv = Writer().U8(0).U32Be(8).Put("/bin/two").Take();
  const Digest first = Hash(kBank, ng), second = Hash(kBank, BytesOf("something else"));
  Bytes bytes;
  const auto add = [&](std::uint64_t number, std::uint8_t type, const Bytes& data, const Digest& digest) {
    Event e;
    e.index = 10;
    e.data = data;
    e.digests = {{0x000B, digest.view()}};
    e.cel = CelFields{number, kCelPcr, type, {}};
    bytes = Join(std::move(bytes), EncodeEvent(Format::kCelTlv, e));
  };
  add(0, kCelImaTemplate, content, first);
  add(1, kCelImaTemplate, content, second);
  add(2, kCelImaTlv, tlv, second);
  const auto log = ParseEventLog(bytes);
  ASSERT_THAT(log, IsOk());
  const Examined x = Examine(*log, kBank);
  EXPECT_EQ(EventLabel(x, 0), "ima-ng /bin/tool");
  EXPECT_EQ(EventLabel(x, 2), "ima-tlv /bin/two");
  const auto story = TellBoot(x);
  ASSERT_NE(Find(story, "ima"), nullptr);
  EXPECT_THAT(Find(story, "ima")->text, HasSubstr("PCR 10: 1 records of IMA"));
  // One whose digest is of something else is not hidden among them.
  ASSERT_NE(Find(story, "other"), nullptr);
  EXPECT_EQ(Find(story, "other")->events, std::vector<std::uint64_t>{1});
}

TEST(Story, AUnifiedKernelImage) {
  LogBuilder b = Good();
  const auto tag = [](std::uint32_t id, const Bytes& text) {
    return Writer().U32Le(id).U32Le(static_cast<std::uint32_t>(text.size())).Put(text).Take();
  };
  b.Add(5, kEventTag, tag(kTagLoaderConf, Utf16("loader.conf")), BytesOf("timeout 3"));
  for (const char* name : {".linux", ".osrel", ".initrd"}) {
    b.Add(11, kIpl, Utf16(name), BytesOf(std::string_view(name, std::string_view(name).size() + 1)));
    b.Add(11, kIpl, Utf16(name), BytesOf(std::string("content of ") + name));
  }
  b.Add(12, kIpl, Utf16("root=/dev/sda1 quiet"));
  b.Add(9, kEventTag, tag(kTagInitrd, BytesOf(std::string_view("Linux initrd\0", 13))), BytesOf("initrd"));
  const auto story = Look(b.Exit().bytes()).story;
  EXPECT_EQ(LineOf(story, "secure-boot"), "proven: on");
  EXPECT_EQ(LineOf(story, "kernel"), "partly: UKI section .linux");
  EXPECT_EQ(LineOf(story, "initrd"), "partly: UKI section .initrd");
  EXPECT_EQ(LineOf(story, "uki-section"), "partly: UKI section .osrel");
  EXPECT_EQ(LineOf(story, "command-line"), "proven: root=/dev/sda1 quiet");
  EXPECT_EQ(LineOf(story, "loader"), "unproven: systemd-boot: loader.conf");
  EXPECT_EQ(LineOf(story, "exit-boot-services"), "proven: Exit Boot Services Invocation");
}

TEST(Story, AConfidentialGuest) {
  LogBuilder b({HashAlg::kSha384});
  b.Add(1, kEfiPlatformFirmwareBlob2, Writer().U8(4).Put("CFV").U8(0).U64Le(0x1000).U64Le(0x2000).Take(),
        BytesOf("code"));
  b.Add(1, kEfiVariableDriverConfig, kOn)
      .Separators({1})
      .Add(3, kIpl, BytesOf(std::string_view("kernel_cmdline: a\0", 18)), BytesOf("a"));
  const Looked looked = Look(b.bytes());
  EXPECT_EQ(LineOf(looked.story, "secure-boot"), "proven: on");
  EXPECT_EQ(LineOf(looked.story, "command-line"), "partly: a");
  EXPECT_THAT(looked.names, IsEmpty());
}

TEST(Story, ControlCharactersDoNotReachTheTerminal) {
  const auto story = Look(Good().Add(0, kSCrtmVersion, BytesOf("a\x1B[31mb\xFF")).bytes()).story;
  EXPECT_THAT(LineOf(Look(Good().Add(12, kIpl, Utf16("a\x1B[31m")).bytes()).story, "command-line"),
              HasSubstr("a\\x1b[31m"));
  for (const StoryLine& line : story) EXPECT_EQ(line.text.find('\x1B'), std::string::npos);
}

void ExpectSecureBoot(const Looked& looked) {
  EXPECT_THAT(looked.names, IsEmpty());
  EXPECT_EQ(LineOf(looked.story, "secure-boot"), "proven: on");
  EXPECT_THAT(LineOf(looked.story, "key"), HasSubstr("PK: 1 certificate"));
}

TEST(Story, TellsOfTheProjectsOwnGuest) {
  auto bytes = ReadFile(TestData() + "/boot/secure-boot-6.12/binary_bios_measurements", kMaxLog);
  ASSERT_THAT(bytes, IsOk());
  const Looked looked = Look(*bytes);
  ExpectSecureBoot(looked);
  EXPECT_EQ(LineOf(looked.story, "kernel"), "partly: UKI section .linux");
  EXPECT_EQ(LineOf(looked.story, "initrd"), "partly: UKI section .initrd");
}

TEST(Story, WhatGrubLoaded) {
  LogBuilder b = Good();
  for (const char* command : {"linux /vmlinuz-1 root=/dev/sda1", "initrd /initrd-1"})
    b.Add(8, kIpl, BytesOf(std::string("grub_cmd: ") + command + std::string(1, '\0')), BytesOf(command));
  b.Add(8, kIpl, BytesOf("kernel_cmdline: /vmlinuz-1 root=/dev/sda1" + std::string(1, '\0')),
        BytesOf("/vmlinuz-1 root=/dev/sda1"));
  for (const char* file : {"(hd0,gpt2)/grub.cfg", "(hd0,gpt2)/vmlinuz-1", "(hd0,gpt2)/initrd-1"})
    b.Add(9, kIpl, BytesOf(file), BytesOf(std::string("content of ") + file));
  const auto story = Look(b.bytes()).story;
  EXPECT_EQ(LineOf(story, "loader"), "partly: GRUB, 3 commands measured");
  EXPECT_EQ(LineOf(story, "kernel"), "unproven: (hd0,gpt2)/vmlinuz-1");
  EXPECT_EQ(LineOf(story, "initrd"), "unproven: (hd0,gpt2)/initrd-1");
  EXPECT_EQ(LineOf(story, "loader-file"), "unproven: (hd0,gpt2)/grub.cfg");
  EXPECT_EQ(LineOf(story, "command-line"), "partly: /vmlinuz-1 root=/dev/sda1");
}

TEST(Story, TellsOfARealMachine) {
  const Bytes bytes = RealData("eventlogs/keylime-binary_bios_measurements-secureboot");
  if (bytes.empty()) GTEST_SKIP() << NoRealData();
  const Looked looked = Look(bytes);
  ExpectSecureBoot(looked);
  EXPECT_EQ(LineOf(looked.story, "kernel"), "unproven: (hd0,gpt2)/vmlinuz-5.14.0-503.11.1.el9_5.x86_64");
  EXPECT_EQ(LineOf(looked.story, "initrd"),
            "unproven: (hd0,gpt2)/initramfs-5.14.0-503.11.1.el9_5.x86_64.img");
  EXPECT_THAT(LineOf(looked.story, "command-line"),
              testing::StartsWith("partly: (hd0,gpt2)/vmlinuz-5.14.0-503.11.1.el9_5.x86_64 root="));
}

}  // namespace
}  // namespace assay::boot
