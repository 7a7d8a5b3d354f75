#include "boot/examine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/real_data.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "boot/examine_testing.h"

namespace assay::boot {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

TEST(Check, AnHonestLogHasNoProblem) {
  EXPECT_THAT(Look(Good().Exit().bytes()).names, IsEmpty());
  EXPECT_EQ(StateOf(Good().bytes()).state, SecureBoot::kOn);
  EXPECT_EQ(StateOf(Good(false).bytes()).state, SecureBoot::kOff);
}

TEST(Check, SecureBootMeasuredAgainAfterTheSeparator) {
  const Bytes bytes = Good(false).Add(7, kEfiVariableDriverConfig, kOn).bytes();
  const Looked looked = Look(bytes);
  EXPECT_THAT(looked.names, Contains("secure-boot.after-separator"));
  EXPECT_THAT(looked.names, Contains("secure-boot.repeated"));
  EXPECT_EQ(StateOf(bytes).state, SecureBoot::kUnknown);
}

TEST(Check, SecureBootMeasuredTwiceBeforeTheSeparator) {
  LogBuilder b({kBank});
  b.Add(7, kEfiVariableDriverConfig, kOff).Firmware().ReadyToBoot();
  EXPECT_THAT(Look(b.bytes()).names, Contains("secure-boot.repeated"));
  EXPECT_EQ(StateOf(b.bytes()).state, SecureBoot::kUnknown);
}

// The attack on types: they are not in the digest. The real value and the real separator are renamed, and
// what the attacker extended later is made to look like the firmware's own.
TEST(Check, ARenamedSeparatorAndVariableAreKnownByTheirDigests) {
  LogBuilder b({kBank});
  b.Add(7, kIpl, BytesOf("nothing to see"), kOff).Add(7, kIpl, BytesOf("nor here"), Bytes(4));
  b.Firmware().ReadyToBoot();
  const Looked looked = Look(b.bytes());
  EXPECT_THAT(looked.names, Contains("secure-boot.hidden"));
  EXPECT_THAT(looked.names, Contains("separator.hidden"));
  EXPECT_THAT(looked.names, Contains("secure-boot.after-separator"));
  EXPECT_EQ(StateOf(b.bytes()).state, SecureBoot::kUnknown);
}

TEST(Check, DataThatTheDigestDoesNotCoverIsNotBelieved) {
  LogBuilder b({kBank});
  b.Add(7, kEfiVariableDriverConfig, kOn, kOff).Separators({7}).ReadyToBoot();
  EXPECT_THAT(Look(b.bytes()).names, Contains("secure-boot.unproven"));
  EXPECT_EQ(StateOf(b.bytes()).state, SecureBoot::kOff);
}

TEST(Check, SecureBootUnderAnotherTypeGuidOrRegister) {
  EXPECT_THAT(Look(Good().Add(1, kEfiVariableDriverConfig, kOn).bytes()).names,
              Contains("secure-boot.register"));
  EXPECT_THAT(Look(Good().Add(7, kEfiVariableBoot, kOn).bytes()).names, Contains("secure-boot.type"));
  EXPECT_THAT(
      Look(Good().Add(7, kEfiVariableDriverConfig, VariableData(kDatabaseGuid, "SecureBoot", {1})).bytes())
          .names,
      Contains("secure-boot.guid"));
  LogBuilder b({kBank});
  b.Add(7, kEfiVariableDriverConfig, VariableData(kGlobalGuid, "SecureBoot", {1, 1}))
      .Separators({7})
      .ReadyToBoot();
  EXPECT_THAT(Look(b.bytes()).names, Contains("secure-boot.value"));
  EXPECT_EQ(StateOf(b.bytes()).state, SecureBoot::kUnknown);
  LogBuilder none({kBank});
  EXPECT_THAT(Look(none.Separators({7}).ReadyToBoot().bytes()).names, Contains("secure-boot.missing"));
}

TEST(Check, SecureBootVariablesOutOfOrder) {
  LogBuilder b({kBank});
  b.Add(7, kEfiVariableDriverConfig, VariableData(kDatabaseGuid, "db", {}))
      .Add(7, kEfiVariableDriverConfig, kOn);
  EXPECT_THAT(Look(b.Separators({7}).ReadyToBoot().bytes()).names, Contains("secure-boot.order"));
}

TEST(Check, Separators) {
  EXPECT_THAT(Look(Good().Separators({7}).bytes()).names, Contains("separator.repeated"));
  LogBuilder missing({kBank});
  missing.Firmware().Separators({0, 1, 2, 3, 4, 6});
  EXPECT_THAT(Look(missing.bytes()).names, Contains("separator.missing"));
  const auto pcr6 = [](const Bytes& data, const Bytes& hashed) {
    LogBuilder b({kBank});
    b.Firmware().Separators({0, 1, 2, 3, 4, 5}).Add(6, kSeparator, data, hashed);
    return Look(b.bytes()).names;
  };
  EXPECT_THAT(pcr6(Bytes(4, 0xFF), Bytes(4, 0xFF)), IsEmpty());
  EXPECT_THAT(pcr6(Bytes(4, 0x11), Bytes(4, 0x11)), Contains("separator.value"));
  EXPECT_THAT(pcr6(Bytes(5), Bytes(5)), Contains("separator.value"));
  EXPECT_THAT(pcr6(Bytes(4), BytesOf("other")), Contains("separator.unproven"));
  EXPECT_THAT(pcr6({1, 0, 0, 0}, {1, 0, 0, 0}), Contains("separator.error"));
  EXPECT_THAT(pcr6(BytesOf("what went wrong"), {1, 0, 0, 0}), Contains("separator.error"));
}

TEST(Check, WhatFollowsASeparator) {
  EXPECT_THAT(Look(Good().Add(0, kSCrtmVersion, Utf16("v2")).bytes()).names,
              Contains("event.after-separator"));
  EXPECT_THAT(
      Look(Good().Add(4, kEfiAction, BytesOf("Calling EFI Application from Boot Option")).bytes()).names,
      IsEmpty());
  for (const StoryLine& line : Look(Good().Add(0, kSCrtmVersion, Utf16("v2")).bytes()).story) {
    if (line.text == "S-CRTM version \"v2\"") {
      EXPECT_EQ(line.grade, Grade::kUnproven);
    }
    if (line.text == "S-CRTM version \"v1\"") {
      EXPECT_EQ(line.grade, Grade::kProven);
    }
  }
}

TEST(Check, Actions) {
  EXPECT_THAT(
      Look(Good().Add(4, kEfiAction, BytesOf("Exit Boot Services Invocation"), BytesOf("x")).bytes()).names,
      testing::IsSupersetOf({"action.unproven", "action.register"}));
  EXPECT_THAT(
      Look(Good().Add(5, kEfiAction, BytesOf("Exit Boot Services Returned with Success")).bytes()).names,
      Contains("exit-boot-services.order"));
  EXPECT_THAT(Look(Good().Exit().Add(5, kEfiAction, BytesOf("more")).bytes()).names,
              Contains("event.after-exit"));
  EXPECT_THAT(Look(Good().Exit().Add(10, kIpl, BytesOf("ima")).bytes()).names,
              Not(Contains("event.after-exit")));
}

TEST(Check, Startup) {
  LogBuilder b({kBank});
  b.Add(0, kNoAction, StartupLocalityData(3))
      .Add(0, kNoAction, StartupLocalityData(5))
      .Firmware()
      .ReadyToBoot();
  b.Add(1, kNoAction, StartupLocalityData(0)).Add(0, kEfiHcrtmEvent, BytesOf("HCRTM"));
  EXPECT_THAT(Look(b.bytes()).names,
              testing::IsSupersetOf({"startup-locality.value", "startup-locality.repeated",
                                     "startup-locality.late", "startup-locality.register", "hcrtm.order"}));
  EXPECT_THAT(Look(Good().Add(0, kNoAction, EncodeSpecId({{0x000B, 32}})).bytes()).names,
              Contains("spec-id.repeated"));
}

TEST(Check, Digests) {
  const Bytes data = BytesOf("one thing");
  const auto add = [&](const std::vector<Digest>& digests) {
    return Look(Good().AddDigests(5, kEfiAction, data, digests).bytes()).names;
  };
  EXPECT_THAT(add({Hash(HashAlg::kSha1, data), Hash(kBank, BytesOf("another"))}),
              Contains("digest.banks-differ"));
  EXPECT_THAT(add({Hash(HashAlg::kSha1, data)}), Contains("digest.missing"));
  EXPECT_THAT(
      Look(Good().AddDigests(0, kNoAction, data, {Hash(HashAlg::kSha1, data), Hash(kBank, data)}).bytes())
          .names,
      Contains("no-action.digest"));
}

TEST(Check, ABootOrderWithTheBytesOfAnErrorSeparator) {
  const auto with = [](const char* name, const Bytes& value, bool separated) {
    LogBuilder b({kBank});
    b.Firmware();
    b.Add(1, kEfiVariableBoot, VariableData(kGlobalGuid, name, value), value);
    b.Separators({0, 2, 3, 4, 5, 6});
    if (separated) b.Separators({1});
    return Look(b.bytes()).names;
  };
  EXPECT_THAT(with("BootOrder", {1, 0, 0, 0}, true), IsEmpty());
  EXPECT_THAT(with("DriverOrder", {1, 0, 0, 0}, true), IsEmpty());
  // The only separator of its register, or one that separates: renamed.
  EXPECT_THAT(with("BootOrder", {1, 0, 0, 0}, false), Contains("separator.hidden"));
  EXPECT_THAT(with("BootOrder", {0, 0, 0, 0}, true), Contains("separator.hidden"));
  // Data that does not account for the digest.
  LogBuilder b({kBank});
  b.Firmware().Add(1, kEfiVariableBoot, VariableData(kGlobalGuid, "BootOrder", {0, 0, 1, 0}), {1, 0, 0, 0});
  EXPECT_THAT(Look(b.ReadyToBoot().bytes()).names, Contains("separator.hidden"));
  // In PCR 7 nothing is a setting.
  LogBuilder c({kBank});
  c.Add(7, kEfiVariableBoot, VariableData(kGlobalGuid, "BootOrder", {1, 0, 0, 0}), {1, 0, 0, 0}).Firmware();
  EXPECT_THAT(Look(c.ReadyToBoot().bytes()).names, Contains("separator.hidden"));
}

TEST(Check, AnAbsentSecureBootVariableIsOff) {
  LogBuilder b({kBank});
  b.Add(7, kEfiVariableDriverConfig, VariableData(kGlobalGuid, "SecureBoot", {}))
      .Separators({7})
      .ReadyToBoot();
  EXPECT_THAT(Look(b.bytes()).names, IsEmpty());
  EXPECT_EQ(StateOf(b.bytes()).state, SecureBoot::kOff);
  EXPECT_TRUE(StateOf(b.bytes()).absent);
  for (const StoryLine& line : Look(b.bytes()).story) {
    if (line.topic == "secure-boot") {
      EXPECT_EQ(line.text, "off (there is no such variable)");
      EXPECT_EQ(line.grade, Grade::kProven);
    }
  }
  // Measured again as on, after the separator: not on.
  b.Add(7, kEfiVariableDriverConfig, kOn);
  EXPECT_EQ(StateOf(b.bytes()).state, SecureBoot::kUnknown);
  // Renamed, it is found all the same.
  LogBuilder c({kBank});
  c.Add(7, kIpl, BytesOf("x"), VariableData(kGlobalGuid, "SecureBoot", {})).Firmware().ReadyToBoot();
  EXPECT_EQ(StateOf(c.bytes()).state, SecureBoot::kUnknown);
}

TEST(Check, AnActionInTheRegisterWhereOlderFirmwarePutsIt) {
  EXPECT_THAT(
      Look(Good().Add(5, kEfiAction, BytesOf("Calling EFI Application from Boot Option")).bytes()).names,
      IsEmpty());
  EXPECT_THAT(
      Look(Good().Add(3, kEfiAction, BytesOf("Calling EFI Application from Boot Option")).bytes()).names,
      Contains("action.register"));
}

// Errors are what --strict counts.
std::vector<std::string> ErrorsOf(const Bytes& bytes, std::optional<HashAlg> bank = std::nullopt) {
  std::vector<std::string> names;
  const auto log = ParseEventLog(bytes);
  EXPECT_THAT(log, IsOk());
  if (!log) return names;
  for (const Problem& p : Check(Examine(*log, bank ? *bank : *log->DefaultBank()))) {
    if (p.severity == Severity::kError) names.push_back(p.name);
  }
  return names;
}

TEST(Check, ADigestMissingInABankThatIsNotJudged) {
  const Bytes data = BytesOf("one thing");
  const Bytes bytes = Good().AddDigests(5, kEfiAction, data, {Hash(kBank, data)}).bytes();
  EXPECT_THAT(ErrorsOf(bytes, kBank), IsEmpty());
  EXPECT_THAT(ErrorsOf(bytes, HashAlg::kSha1), Contains("digest.missing"));
  const Bytes differs =
      Good().AddDigests(5, kEfiAction, data, {Hash(HashAlg::kSha1, BytesOf("x")), Hash(kBank, data)}).bytes();
  EXPECT_THAT(ErrorsOf(differs, kBank), IsEmpty());
  EXPECT_THAT(ErrorsOf(differs, HashAlg::kSha1), Contains("digest.banks-differ"));
}

TEST(Check, HealthyMachinesHaveNoErrors) {
  for (const char* guest : {"bios-6.12", "uefi-6.1", "uefi-6.12", "secure-boot-6.12"}) {
    const auto bytes = ReadFile(TestData() + "/boot/" + guest + "/binary_bios_measurements", kMaxLog);
    ASSERT_THAT(bytes, IsOk());
    EXPECT_THAT(ErrorsOf(*bytes), IsEmpty()) << guest;
  }
}

class OthersLog : public testing::TestWithParam<const char*> {};
TEST_P(OthersLog, HasNoErrorsWhereNobodyAlteredIt) {
  const Bytes bytes = RealData(GetParam());
  if (bytes.empty()) GTEST_SKIP() << NoRealData();
  EXPECT_THAT(ErrorsOf(bytes), IsEmpty());
}
INSTANTIATE_TEST_SUITE_P(
    All, OthersLog,
    testing::Values("eventlogs/cos-85-amd-sev.bin", "eventlogs/debian-10.bin", "eventlogs/rhel8-uefi.bin",
                    "eventlogs/keylime-binary_bios_measurements",
                    "eventlogs/keylime-binary_bios_measurements-secureboot",
                    "../trials/r1-bootorder-0001-0000.bin", "../trials/r1-control-bootorder-0000-0001.bin",
                    "../trials/r2-secureboot-absent.bin", "../trials/r7-calling-app-pcr5.bin",
                    "../trials/r6-control-recnum-8-bytes.bin"));

TEST(Check, RegistersAndTypes) {
  EXPECT_THAT(Look(Good().Add(24, kIpl, BytesOf("x")).bytes()).names, Contains("register.out-of-range"));
  EXPECT_THAT(Look(Good().Add(9, kSCrtmVersion, BytesOf("x")).bytes()).names, Contains("type.register"));
  EXPECT_THAT(Look(Good().Add(5, kEfiGptEvent, BytesOf("x")).bytes()).names, Contains("data.malformed"));
}

TEST(Prove, WhatGrubAndSystemdHash) {
  LogBuilder b({kBank});
  b.Add(8, kIpl, BytesOf(std::string_view("grub_cmd: ls\0", 13)), BytesOf("ls"));
  b.Add(8, kIpl, BytesOf(std::string_view("grub_kernel_cmdline a b\0", 24)), BytesOf("a b"));
  b.Add(12, kIpl, Utf16("root=x"));
  b.Add(11, kIpl, Utf16(".linux"), BytesOf(std::string_view(".linux\0", 7)));
  b.Add(11, kIpl, Utf16(".linux"), BytesOf("the kernel"));
  b.Add(9, kIpl, BytesOf("/vmlinuz"), BytesOf("the kernel"));
  b.Add(1, kEfiVariableBoot, VariableData(kGlobalGuid, "BootOrder", {1, 0}), {1, 0});
  b.Add(1, kEfiVariableBoot2, VariableData(kGlobalGuid, "BootOrder", {1, 0}));
  EXPECT_EQ(GradeOf(b, 0), Grade::kNotMeasured);
  EXPECT_EQ(GradeOf(b, 1), Grade::kPartly);
  EXPECT_EQ(GradeOf(b, 2), Grade::kPartly);
  EXPECT_EQ(GradeOf(b, 3), Grade::kProven);
  EXPECT_EQ(GradeOf(b, 4), Grade::kProven);
  EXPECT_EQ(GradeOf(b, 5), Grade::kUnproven);
  EXPECT_EQ(GradeOf(b, 6), Grade::kUnproven);
  EXPECT_EQ(GradeOf(b, 7), Grade::kPartly);
  EXPECT_EQ(GradeOf(b, 8), Grade::kProven);
}

TEST(Check, AHeaderOfAnotherVersionIsNamed) {
  const auto with = [](std::size_t at, std::uint8_t version) {
    Bytes bytes = Good().bytes();
    bytes[32 + at] = version;
    return Look(bytes).names;
  };
  constexpr std::size_t kMajor = 21;
  EXPECT_THAT(with(kMajor, 2), IsEmpty());
  EXPECT_THAT(with(kMajor, 3), testing::ElementsAre("spec-id.version"));
  EXPECT_THAT(with(kMajor, 1), testing::ElementsAre("spec-id.version"));
}

}  // namespace
}  // namespace assay::boot
