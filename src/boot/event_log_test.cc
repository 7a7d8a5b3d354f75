#include "boot/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/fd.h"
#include "base/real_data.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "boot/log_builder.h"
#include "boot/pcr_text.h"
#include "boot/replay.h"

namespace assay::boot {
namespace {

using testing::HasSubstr;

Bytes Data(const std::string& name) {
  auto bytes = ReadFile(TestData() + "/" + name, kMaxLog);
  EXPECT_THAT(bytes, IsOk());
  return bytes ? *bytes : Bytes();
}

// The error of a log that must not parse.
struct Refused {
  std::string code, what;
  std::uint64_t offset = 0;
};
Refused Refuse(const Bytes& data) {
  const auto log = ParseEventLog(data);
  if (log) return {"parsed", "", 0};
  const auto* parse = log.error().As<ParseError>();
  return parse == nullptr ? Refused{log.error().code(), "", 0}
                          : Refused{log.error().code(), parse->what, parse->offset};
}

// Logs of this project's guests, with what their TPMs held; and others' logs, with what tpm2_eventlog replays
// them to.
struct KnownLog {
  const char* log;
  const char* registers;
  bool others;
};
void PrintTo(const KnownLog& known, std::ostream* out) { *out << known.log; }

class RealLog : public testing::TestWithParam<KnownLog> {
 protected:
  void SetUp() override {
    data_ = GetParam().others ? RealData(GetParam().log) : Data(GetParam().log);
    if (data_.empty()) GTEST_SKIP() << NoRealData();
  }
  Bytes data_;
};

TEST_P(RealLog, ReplaysToKnownValues) {
  const auto log = ParseEventLog(data_);
  ASSERT_THAT(log, IsOk());
  const Bytes text = Data(GetParam().registers);
  auto known = ParsePcrText(AsText(text));
  ASSERT_THAT(known, IsOk());
  for (auto& [bank, values] : *known) {
    // A running guest has extended these after the log's end.
    if (!GetParam().others) std::erase_if(values, [](const auto& v) { return v.first >= 10; });
  }
  const auto comparisons = Compare(Replay(*log), *known);
  EXPECT_GE(comparisons.size(), 8U);
  for (const Comparison& c : comparisons)
    EXPECT_EQ(c.outcome, Outcome::kMatch) << c.bank << " " << c.index << " " << c.reason;
}

TEST_P(RealLog, IsWrittenAsItWasRead) {
  const auto log = ParseEventLog(data_);
  ASSERT_THAT(log, IsOk());
  Bytes again;
  for (const Event& e : log->events) {
    const Bytes one = EncodeEvent(log->format, e, e.number == 0);
    again.insert(again.end(), one.begin(), one.end());
  }
  EXPECT_EQ(Hex(again), Hex(data_));
  EXPECT_FALSE(log->padding);
}

// No prefix of a log is a log, but where an event ends.
TEST_P(RealLog, CutShortIsRefusedOrEndsAtAnEvent) {
  const auto log = ParseEventLog(data_);
  ASSERT_THAT(log, IsOk());
  std::vector<std::uint64_t> ends;
  for (const Event& e : log->events) ends.push_back(e.offset + e.raw.size());
  for (std::size_t size = 1; size < data_.size(); size += 499) {
    const auto cut = ParseEventLog(ByteView(data_).first(size));
    const bool at_end = std::find(ends.begin(), ends.end(), size) != ends.end();
    const bool rest_is_padding = cut && cut->padding;
    EXPECT_EQ(cut.has_value(), at_end || rest_is_padding) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(
    OwnGuests, RealLog,
    testing::Values(KnownLog{"boot/bios-6.12/binary_bios_measurements", "boot/bios-6.12/pcrs.yaml", false},
                    KnownLog{"boot/uefi-6.1/binary_bios_measurements", "boot/uefi-6.1/pcrs.yaml", false},
                    KnownLog{"boot/uefi-6.12/binary_bios_measurements", "boot/uefi-6.12/pcrs.yaml", false},
                    KnownLog{"boot/secure-boot-6.12/binary_bios_measurements",
                             "boot/secure-boot-6.12/pcrs.yaml", false}));
INSTANTIATE_TEST_SUITE_P(
    Others, RealLog,
    testing::Values(KnownLog{"eventlogs/cos-85-amd-sev.bin", "registers/cos-85-amd-sev.bin.txt", true},
                    KnownLog{"eventlogs/debian-10.bin", "registers/debian-10.bin.txt", true},
                    KnownLog{"eventlogs/rhel8-uefi.bin", "registers/rhel8-uefi.bin.txt", true},
                    KnownLog{"eventlogs/keylime-binary_bios_measurements",
                             "registers/keylime-binary_bios_measurements.txt", true},
                    KnownLog{"eventlogs/keylime-binary_bios_measurements-secureboot",
                             "registers/keylime-binary_bios_measurements-secureboot.txt", true}));

TEST(EventLog, ALogOfTheFirstFormatIsReplayedAndWrittenBack) {
  LogBuilder b({});
  b.Add(0, kSCrtmVersion, BytesOf("v")).Separators({0}).Add(4, kIpl, BytesOf("loader"));
  const auto log = ParseEventLog(b.bytes());
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->format, Format::kTcg12);
  const Digest zero = Digest::Filled(HashAlg::kSha1, 0);
  EXPECT_EQ(Replay(*log).Value(HashAlg::kSha1, 4), ExtendPcr(zero, Hash(HashAlg::kSha1, BytesOf("loader"))));
  Bytes again;
  for (const Event& e : log->events) {
    const Bytes one = EncodeEvent(log->format, e);
    again.insert(again.end(), one.begin(), one.end());
  }
  EXPECT_EQ(again, b.bytes());
}

TEST(EventLog, TextIsNoEventLog) {
  const Refused r = Refuse(BytesOf("this is a text and no event log at all, whatever its name says"));
  EXPECT_EQ(r.code, "parse.event-log");
  EXPECT_THAT(r.what, HasSubstr("not an event log"));
  EXPECT_EQ(r.offset, 0U);
}

TEST(EventLog, EmptyAndOnlyPaddingAreRefused) {
  EXPECT_EQ(Refuse({}).what, "empty");
  EXPECT_THAT(Refuse(Bytes(64)).what, HasSubstr("only padding"));
  EXPECT_THAT(Refuse(Bytes(64, 0xFF)).what, HasSubstr("only padding"));
}

TEST(EventLog, PaddingIsReportedAndNothingElseMayFollow) {
  for (const std::uint8_t byte : {std::uint8_t{0}, std::uint8_t{0xFF}}) {
    LogBuilder b({HashAlg::kSha256});
    b.Add(0, kSCrtmVersion, Utf16("v1"));
    const std::size_t end = b.bytes().size();
    b.AddRaw(Bytes(4097, byte));
    const auto log = ParseEventLog(b.bytes());
    ASSERT_THAT(log, IsOk());
    ASSERT_TRUE(log->padding);
    EXPECT_EQ(log->padding->offset, end);
    EXPECT_EQ(log->padding->size, 4097U);
    EXPECT_EQ(log->padding->byte, byte);
    b.AddRaw({1});
    EXPECT_EQ(Refuse(b.bytes()).code, "parse.event-log");
  }
}

TEST(EventLog, UnknownTypesAndBanksAreKept) {
  Writer w;  // a header with SHA-256 and an algorithm of ten bytes that nobody knows
  const Bytes id = EncodeSpecId({{0x000B, 32}, {0x7777, 10}});
  w.U32Le(0).U32Le(kNoAction).Put(Bytes(20)).U32Le(static_cast<std::uint32_t>(id.size())).Put(id);
  w.U32Le(3)
      .U32Le(0x12345678)
      .U32Le(2)
      .U16Le(0x7777)
      .Put(Bytes(10, 7))
      .U16Le(0x000B)
      .Put(Bytes(32, 8))
      .U32Le(1)
      .U8(9);
  const auto log = ParseEventLog(w.bytes());
  ASSERT_THAT(log, IsOk());
  ASSERT_EQ(log->events.size(), 2U);
  EXPECT_EQ(EventTypeName(log->events[1].type), "0x12345678");
  ASSERT_EQ(log->events[1].digests.size(), 2U);
  EXPECT_EQ(log->events[1].digests[0].bytes.size(), 10U);
  EXPECT_EQ(log->Banks(), std::vector<HashAlg>{HashAlg::kSha256});
}

TEST(EventLog, DigestsOfNoBankOrTwiceAreRefused) {
  const Digest sha1 = Hash(HashAlg::kSha1, {}), sha256 = Hash(HashAlg::kSha256, {}),
               sha384 = Hash(HashAlg::kSha384, {});
  const std::vector<HashAlg> banks = {HashAlg::kSha1, HashAlg::kSha256};
  EXPECT_THAT(Refuse(LogBuilder(banks).AddDigests(0, kPostCode, {}, {sha384}).bytes()).what,
              HasSubstr("does not have"));
  EXPECT_THAT(Refuse(LogBuilder(banks).AddDigests(0, kPostCode, {}, {sha1, sha1}).bytes()).what,
              HasSubstr("two digests"));
  EXPECT_THAT(Refuse(LogBuilder(banks).AddDigests(0, kPostCode, {}, {sha1, sha256, sha1}).bytes()).what,
              HasSubstr("more digests"));
  EXPECT_THAT(ParseEventLog(LogBuilder(banks).AddDigests(0, kPostCode, {}, {sha256}).bytes()), IsOk());
}

TEST(EventLog, SpecIdIsCheckedFieldByField) {
  const auto with = [](const std::vector<AlgorithmSize>& algorithms) {
    Event header;
    const Bytes id = EncodeSpecId(algorithms);
    header.type = kNoAction;
    header.data = id;
    return Refuse(EncodeEvent(Format::kCryptoAgile, header, true));
  };
  EXPECT_EQ(with({{0x000B, 32}}).code, "parsed");
  EXPECT_THAT(with({{0x000B, 31}}).what, HasSubstr("digest size"));
  EXPECT_EQ(with({{0x000B, 31}}).offset, 62U);
  EXPECT_THAT(with({{0x000B, 32}, {0x000B, 32}}).what, HasSubstr("listed twice"));
  EXPECT_THAT(with({}).what, HasSubstr("number of algorithms"));
  EXPECT_THAT(with(std::vector<AlgorithmSize>(17, {0x7000, 1})).what, HasSubstr("number of algorithms"));
}

TEST(Sm3, ALogOfThisBankAloneIsReplayed) {
  if (!CanReplay(HashAlg::kSm3_256)) GTEST_SKIP() << "this OpenSSL has no SM3";
  // GB/T 32905-2016, example 1.
  EXPECT_EQ(Hash(HashAlg::kSm3_256, BytesOf("abc")).hex(),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
  EXPECT_FALSE(CanHash(HashAlg::kSm3_256));
  LogBuilder b({HashAlg::kSm3_256});
  b.Add(1, kEfiVariableDriverConfig, VariableData(kGlobalGuid, "SecureBoot", {0})).Separators({1, 2});
  const auto log = ParseEventLog(b.bytes());
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->registers, Registers::kCc);
  EXPECT_EQ(log->DefaultBank(), HashAlg::kSm3_256);
  const Digest zero = Digest::Filled(HashAlg::kSm3_256, 0);
  EXPECT_EQ(Replay(*log).Value(HashAlg::kSm3_256, 2), ExtendPcr(zero, Hash(HashAlg::kSm3_256, Bytes(4))));
  const Bytes others = RealData("eventlogs/ccel-sm3-only.bin");
  if (others.empty()) GTEST_SKIP() << NoRealData();
  const auto real = ParseEventLog(others);
  ASSERT_THAT(real, IsOk());
  EXPECT_EQ(real->registers, Registers::kCc);
  EXPECT_FALSE(Replay(*real).banks.at(HashAlg::kSm3_256).empty());
}

TEST(Sm3, AHasherIsUsedAgainAndDropped) {
  if (!CanReplay(HashAlg::kSm3_256)) GTEST_SKIP() << "this OpenSSL has no SM3";
  Hasher h(HashAlg::kSm3_256);
  const Digest first = h.Update("abc").Finish();
  EXPECT_EQ(h.Update("abc").Finish(), first);
  h.Update("dropped in the middle");
}

TEST(EventLog, LengthsBeyondTheInputAreRefusedWhereTheyStand) {
  Writer w;
  w.U32Le(0).U32Le(kSCrtmVersion).Put(Bytes(20)).U32Le(0xFFFFFFFF).U8(1);
  const Refused r = Refuse(w.bytes());
  EXPECT_THAT(r.what, HasSubstr("truncated event data"));
  EXPECT_EQ(r.offset, 32U);
}

TEST(EventLog, ALogOfAConfidentialGuestIsToldByItsRegisters) {
  LogBuilder b({HashAlg::kSha384});
  b.Add(1, kEfiVariableDriverConfig, VariableData(kGlobalGuid, "SecureBoot", {0}))
      .Separators({1, 2})
      .Add(3, kIpl, BytesOf("x"));
  auto log = ParseEventLog(b.bytes());
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->registers, Registers::kCc);
  EXPECT_EQ(RegisterName(log->registers, 3), "RTMR[2]");
  log = ParseEventLog(b.bytes(), {Registers::kPcr});
  EXPECT_EQ(log->registers, Registers::kPcr);
  b.Separators({5});
  EXPECT_EQ(ParseEventLog(b.bytes())->registers, Registers::kPcr);
  LogBuilder two({HashAlg::kSha256, HashAlg::kSha384});
  EXPECT_EQ(ParseEventLog(two.Separators({1}).bytes())->registers, Registers::kPcr);
}

// What a log in the canonical format holds: a PC client event in PCR 4, an IMA record in PCR 10.
Bytes CanonicalLog(std::uint64_t second_number, std::uint8_t register_type = kCelPcr) {
  const Digest first = Hash(HashAlg::kSha256, BytesOf("boot")),
               second = Hash(HashAlg::kSha256, BytesOf("data"));
  const Bytes ima = Writer().U8(0).U32Be(6).Put("ima-ng").U8(1).U32Be(4).Put("data").Take();
  const Bytes boot = BytesOf("boot");
  Event a, b;
  a.index = 4;
  a.type = kIpl;
  a.data = boot;
  a.digests = {{0x000B, first.view()}};
  b.index = 10;
  b.data = ima;
  b.digests = {{0x000B, second.view()}};
  b.cel = CelFields{second_number, register_type, kCelImaTemplate, {}};
  Bytes out = EncodeEvent(Format::kCelTlv, a);
  const Bytes more = EncodeEvent(Format::kCelTlv, b);
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(CelLog, IsReadAndReplayed) {
  const Bytes data = CanonicalLog(1);
  const auto log = ParseEventLog(data);
  ASSERT_THAT(log, IsOk());
  EXPECT_EQ(log->format, Format::kCelTlv);
  ASSERT_EQ(log->events.size(), 2U);
  EXPECT_EQ(log->events[0].type, kIpl);
  EXPECT_EQ(AsText(log->events[0].data), "boot");
  EXPECT_EQ(log->events[1].cel->content_type, kCelImaTemplate);
  const Replayed replayed = Replay(*log);
  const Digest zero = Digest::Filled(HashAlg::kSha256, 0);
  EXPECT_EQ(replayed.Value(HashAlg::kSha256, 4), ExtendPcr(zero, Hash(HashAlg::kSha256, BytesOf("boot"))));
  EXPECT_EQ(replayed.Value(HashAlg::kSha256, 10), ExtendPcr(zero, Hash(HashAlg::kSha256, BytesOf("data"))));
}

// The same log with record numbers of other sizes, and registers of up to four bytes.
Bytes WithNumbersOf(std::size_t number_size, std::size_t register_size) {
  Bytes out;
  const Bytes log = CanonicalLog(1);
  const auto parsed = ParseEventLog(log);
  for (const Event& e : parsed->events) {
    Writer w;
    w.U8(0)
        .U32Be(static_cast<std::uint32_t>(number_size))
        .Put(Bytes(number_size - 1))
        .U8(static_cast<std::uint8_t>(e.number));
    w.U8(kCelPcr).U32Be(static_cast<std::uint32_t>(register_size)).Put(Bytes(register_size - 1));
    w.U8(static_cast<std::uint8_t>(e.index));
    constexpr std::size_t kFront = 13 + 6;  // number and register as EncodeEvent() writes them
    w.Put(e.raw.subspan(kFront));
    out.insert(out.end(), w.bytes().begin(), w.bytes().end());
  }
  return out;
}

TEST(CelLog, NumbersOfOneToEightBytesAreDetected) {
  for (std::size_t size = 1; size <= 8; ++size) {
    for (std::size_t register_size = 1; register_size <= 4; ++register_size) {
      const Bytes bytes = WithNumbersOf(size, register_size);
      const auto log = ParseEventLog(bytes);
      ASSERT_THAT(log, IsOk()) << size;
      EXPECT_EQ(log->format, Format::kCelTlv);
      EXPECT_EQ(log->events.size(), 2U);
    }
  }
  EXPECT_THAT(ParseEventLog(WithNumbersOf(9, 1)), ::testing::Not(IsOk()));
  // Logs that begin as a record number of four or eight bytes would.
  for (const std::uint32_t type : {kSeparator, kSCrtmVersion}) {
    LogBuilder b({});
    EXPECT_EQ(ParseEventLog(b.Add(0, type, Bytes(4)).Separators({1}).bytes())->format, Format::kTcg12);
  }
  const Bytes others = RealData("../trials/r6-cel-recnum-4-bytes.bin");
  if (others.empty()) GTEST_SKIP() << NoRealData();
  EXPECT_THAT(ParseEventLog(others), IsOk());
}

TEST(EventLog, AFormatCanBeForced) {
  LogBuilder agile({HashAlg::kSha256}), first({});
  first.Separators({0});
  const Bytes cel = CanonicalLog(1);
  const auto parse = [](const Bytes& bytes, std::string_view name) {
    ParseOptions options;
    options.format = FormatFromName(name);
    EXPECT_TRUE(options.format);
    return ParseEventLog(bytes, options);
  };
  EXPECT_TRUE(parse(cel, "cel-tlv"));
  EXPECT_TRUE(parse(first.bytes(), "tcg-1.2"));
  EXPECT_TRUE(parse(agile.bytes(), "crypto-agile"));
  EXPECT_EQ(parse(agile.bytes(), "tcg-1.2")->format, Format::kTcg12);
  EXPECT_FALSE(parse(first.bytes(), "crypto-agile"));
  EXPECT_FALSE(parse(first.bytes(), "cel-tlv"));
  EXPECT_FALSE(parse(cel, "tcg-1.2"));
  EXPECT_EQ(FormatFromName("auto"), std::nullopt);
}

TEST(CelLog, NumbersMayCountTheLogOrEachRegisterButNotJump) {
  EXPECT_THAT(ParseEventLog(CanonicalLog(0)), IsOk());
  EXPECT_THAT(ParseEventLog(CanonicalLog(1)), IsOk());
  Bytes data = CanonicalLog(1);
  const Bytes again = CanonicalLog(1);
  data.insert(data.end(), again.begin(), again.end());
  EXPECT_EQ(Refuse(data).what, "record number out of order");
  EXPECT_EQ(Refuse(CanonicalLog(1, kCelCcRegister)).what, "registers of two kinds in one log");
}

TEST(Replay, StartupLocalityIsPcr0sFirstValue) {
  for (const int locality : {0, 3, 4, 1}) {
    LogBuilder b({HashAlg::kSha256});
    b.Add(0, kNoAction, StartupLocalityData(static_cast<std::uint8_t>(locality)))
        .Add(0, kSCrtmVersion, BytesOf("v"));
    const auto log = ParseEventLog(b.bytes());
    ASSERT_THAT(log, IsOk());
    Digest first = Digest::Filled(HashAlg::kSha256, 0);
    if (locality != 1) first.data()[31] = static_cast<std::uint8_t>(locality);  // 1 can't start a TPM
    EXPECT_EQ(Replay(*log).Value(HashAlg::kSha256, 0),
              ExtendPcr(first, Hash(HashAlg::kSha256, BytesOf("v"))));
  }
}

TEST(Replay, StartupLocalityAfterTheFirstExtensionDoesNotCount) {
  LogBuilder b({HashAlg::kSha256});
  b.Add(0, kSCrtmVersion, BytesOf("v")).Add(0, kNoAction, StartupLocalityData(3));
  EXPECT_EQ(Replay(*ParseEventLog(b.bytes())).startup_locality, 0);
}

TEST(Replay, AHardwareRootStartsPcr0AtFour) {
  LogBuilder b({HashAlg::kSha256});
  b.Add(0, kEfiHcrtmEvent, BytesOf("HCRTM"), BytesOf("code"));
  EXPECT_EQ(Replay(*ParseEventLog(b.bytes())).startup_locality, 4);
}

TEST(Replay, RegistersThatTheLogDoesNotTouchHaveTheirResetValue) {
  LogBuilder b({HashAlg::kSha256});
  b.Add(17, kAction, BytesOf("DRTM"));
  const Replayed r = Replay(*ParseEventLog(b.bytes()));
  const Digest zero = Digest::Filled(HashAlg::kSha256, 0);
  EXPECT_EQ(r.Value(HashAlg::kSha256, 3), zero);
  EXPECT_EQ(r.Value(HashAlg::kSha256, 17), ExtendPcr(zero, Hash(HashAlg::kSha256, BytesOf("DRTM"))));
  EXPECT_EQ(r.Value(HashAlg::kSha256, 18), Digest::Filled(HashAlg::kSha256, 0xFF));
  EXPECT_EQ(r.Value(HashAlg::kSha384, 3), std::nullopt);
}

TEST(Compare, WhatCantBeToldIsNeverAMatch) {
  const std::vector<HashAlg> banks = {HashAlg::kSha1, HashAlg::kSha256};
  LogBuilder b(banks);
  b.AddDigests(4, kSeparator, Bytes(4), {Hash(HashAlg::kSha1, Bytes(4))});
  const Replayed replayed = Replay(*ParseEventLog(b.bytes()));
  tpm::PcrValues given;
  given[0x000B][4] = Digest::Filled(HashAlg::kSha256, 0);   // the event lacks SHA-256
  given[0x000C][4] = Digest::Filled(HashAlg::kSha384, 0);   // the log lacks SHA-384
  given[0x0012][4] = Digest::Filled(HashAlg::kSm3_256, 0);  // not computed here
  given[0x0004][99] = Digest::Filled(HashAlg::kSha1, 0);    // no such PCR
  given[0x000B][5] = Digest::Filled(HashAlg::kSha1, 0);     // of another bank
  const auto all = Compare(replayed, given);
  EXPECT_EQ(all.size(), 5U);
  for (const Comparison& c : all) {
    EXPECT_EQ(c.outcome, Outcome::kUnknown) << c.bank << " " << c.index;
    EXPECT_FALSE(c.reason.empty());
  }
}

TEST(MissingExit, NamesTheTwoDigestsThatWouldExplainPcr5) {
  const std::vector<HashAlg> banks = {HashAlg::kSha256};
  LogBuilder whole(banks), without(banks), half(banks);
  for (LogBuilder* b : {&whole, &without, &half}) b->Firmware().ReadyToBoot();
  whole.Exit();
  half.Add(5, kEfiAction, BytesOf(kExitInvocation));
  const auto log = ParseEventLog(without.bytes()), all = ParseEventLog(whole.bytes()),
             some = ParseEventLog(half.bytes());
  ASSERT_TRUE(log && all && some);
  const Digest held = *Replay(*all).Value(HashAlg::kSha256, 5);
  const auto digests = MissingExit(*log, Replay(*log), HashAlg::kSha256, 5, held);
  ASSERT_EQ(digests.size(), 2U);
  EXPECT_EQ(digests[0], Hash(HashAlg::kSha256, BytesOf(kExitInvocation)));
  EXPECT_EQ(digests[1], Hash(HashAlg::kSha256, BytesOf(kExitSuccess)));
  // Exactly these: not another register, not one of them, not something more.
  EXPECT_TRUE(MissingExit(*log, Replay(*log), HashAlg::kSha256, 4, held).empty());
  EXPECT_TRUE(MissingExit(*some, Replay(*some), HashAlg::kSha256, 5, held).empty());
  EXPECT_TRUE(MissingExit(*all, Replay(*all), HashAlg::kSha256, 5, held).empty());
  EXPECT_TRUE(MissingExit(*log, Replay(*log), HashAlg::kSha256, 5, ExtendPcr(held, held)).empty());
}

TEST(BootAggregate, CoversPcr8And9OnlyWhereTheKernelDoes) {
  std::map<std::uint32_t, Digest> sha1, sha256;
  Bytes eight, ten;
  for (std::uint32_t i = 0; i < 10; ++i) {
    sha1[i] = Hash(HashAlg::kSha1, Bytes(1, static_cast<std::uint8_t>(i)));
    sha256[i] = Hash(HashAlg::kSha256, Bytes(1, static_cast<std::uint8_t>(i)));
    for (std::uint8_t byte : sha256[i].view()) {
      ten.push_back(byte);
      if (i < 8) eight.push_back(byte);
    }
  }
  EXPECT_EQ(BootAggregates(HashAlg::kSha1, sha1).size(), 1U);
  EXPECT_EQ(BootAggregates(HashAlg::kSha256, sha256),
            (std::vector<Digest>{Hash(HashAlg::kSha256, ten), Hash(HashAlg::kSha256, eight)}));
  sha256.erase(9);
  EXPECT_EQ(BootAggregates(HashAlg::kSha256, sha256), (std::vector<Digest>{Hash(HashAlg::kSha256, eight)}));
  sha256.erase(3);
  EXPECT_TRUE(BootAggregates(HashAlg::kSha256, sha256).empty());
}

TEST(PcrText, ReadsWhatTpm2ToolsPrint) {
  const std::string zero(64, '0');
  auto values = ParsePcrText("  sha256:\n    0 : 0x" + zero + "\n    10: 0x" + zero + "\n  sm3_256:\n");
  ASSERT_THAT(values, IsOk());
  EXPECT_EQ(values->at(0x000B).size(), 2U);
  EXPECT_THAT(AddPcrValue("sha256:7:" + zero, *values), IsOk());
  values = ParsePcrText("pcrs: {sha256: {0: 0x" + zero + ", 10: " + zero + "}, sha1: {}}\n");
  ASSERT_THAT(values, IsOk());
  EXPECT_EQ(values->at(0x000B).size(), 2U);
  values = ParsePcrText("{\"sha256\": {\n\"7\": \"" + zero + "\"\n}}\n");  // JSON
  ASSERT_THAT(values, IsOk());
  EXPECT_EQ(values->at(0x000B).count(7), 1U);
  values = ParsePcrText("WARNING:esys:src/tss2-esys/api/Esys_PCR_Read.c:310: x\nsha256:\n 1: " + zero +
                        "\nWARN: y\n 2: " + zero + "\n");
  ASSERT_THAT(values, IsOk());
  EXPECT_EQ(values->at(0x000B).size(), 2U);
  const std::string message = ParsePcrText("sha256:\n 1: " + zero + "\nPCR-02: 00\n").error().Message();
  for (const char* part :
       {"line 3", "'PCR-02: 00'", "not a PCR's index", "tpm2_pcrread", "ALG:INDEX:HEX", "flow"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  const std::vector<std::string> all_bad = {"0 : 0x00",
                                            "sha256: {1: " + zero + "} 2: " + zero,
                                            "sha256: {1: " + zero,
                                            "}",
                                            "ERROR: no TPM",
                                            "sha256:\n 0 : 0x00",
                                            "md5:\n",
                                            "sha256:x:" + zero,
                                            "sha256:1:" + zero + "\nsha256:1:" + zero,
                                            "what"};
  for (const std::string& bad : all_bad) {
    const auto refused = ParsePcrText(bad);
    ASSERT_THAT(refused, FailsWith("parse.pcr-values")) << bad;
  }
}

}  // namespace
}  // namespace assay::boot
