#include "evidence/message.h"

#include <gtest/gtest.h>

#include "base/members_testing.h"
#include "base/result_testing.h"
#include "evidence/errors.h"
#include "tpm/ek_certificate.h"

namespace assay::evidence {
namespace {

Evidence Sample() {
  Claims claims;
  claims.nonce = Nonce::Filled(7);
  claims.binding = {"tls-exporter", Bytes(32, 9)};
  claims.pcrs = {{11, {{10, Digest::Filled(HashAlg::kSha256, 1)}}}};
  claims.checkpoints = {{3, Digest::Filled(HashAlg::kSha256, 2)}};
  Evidence e;
  e.attest = Bytes(100, 1);
  e.claims = EncodeClaims(claims);
  e.context = EncodeContextLine(
      {.index = 3, .sub = 1, .time_ms = 5, .pid = 6, .uid = 7, .comm = "a\nb", .hook = "exec"});
  e.list = Bytes(1000, 3);
  return e;
}

TEST(Messages, GoBothWays) {
  const Challenge c{.nonce = Nonce::Filled(5),
                    .first_record = 12,
                    .want_list = true,
                    .want_context = false,
                    .want_event_log = true,
                    .selection = {{.bank = 11, .pcrs = {0, 10}}}};
  auto m = DecodeMessage(EncodeChallenge(c), kMaxEvidence);
  ASSERT_THAT(m, IsOk());
  EXPECT_EQ(std::get<Challenge>(*m).selection, c.selection);
  EXPECT_EQ(std::get<Challenge>(*m).first_record, 12U);
  const Evidence e = Sample();
  const Bytes wire = EncodeEvidence(e);
  m = DecodeMessage(wire, kMaxEvidence);
  ASSERT_THAT(m, IsOk());
  EXPECT_EQ(std::get<Evidence>(*m).list, e.list);
  EXPECT_EQ(std::get<Evidence>(*m).claims, e.claims);
  auto size = FrameSize(ByteView(wire).first(wire.size() - 500), kMaxEvidence);
  ASSERT_THAT(size, IsOk());
  EXPECT_EQ(**size, wire.size());
  auto refusal = DecodeMessage(EncodeRefusal({RefusalCode::kBusy, "later"}), kMaxEvidence);
  ASSERT_THAT(refusal, IsOk());
  EXPECT_EQ(std::get<Refusal>(*refusal).code, RefusalCode::kBusy);
}

// What comes out when `message` goes in.
template <typename T>
void ExpectRoundTrip(const T& message, const Bytes& wire) {
  ExpectEachMemberSet(message);
  const Result<Message> read = DecodeMessage(wire, kMaxEvidence);
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ(std::get<T>(*read), message);
}

TEST(Messages, EachMemberIsWrittenAndRead) {
  const Challenge challenge{.nonce = Nonce::Filled(5),
                            .first_record = ~std::uint64_t{0},
                            .want_list = false,
                            .want_context = false,
                            .want_event_log = false,
                            .selection = {{.bank = 11, .pcrs = {0, 10}}}};
  ExpectRoundTrip(challenge, EncodeChallenge(challenge));
  const Evidence e{.attest = Bytes(1, 1),
                   .signature = Bytes(2, 2),
                   .run_signature = Bytes(3, 3),
                   .ak_public = Bytes(4, 4),
                   .ek_public = Bytes(5, 5),
                   .claims = Bytes(6, 6),
                   .context = Bytes(7, 7),
                   .list = Bytes(8, 8),
                   .event_log = Bytes(9, 9)};
  ExpectRoundTrip(e, EncodeEvidence(e));
  const Identity identity{.ak_public = Bytes(1, 1),
                          .ek_public = Bytes(2, 2),
                          .ek_certificate = Bytes(3, 3),
                          .ek_chain = Bytes(4, 4),
                          .iak_certificate = Bytes(5, 5),
                          .idevid_certificate = Bytes(6, 6),
                          .device_chain = Bytes(7, 7),
                          .device_certificate_error = "cut",
                          .ek_certificate_error = "truncated",
                          .tpm_manufacturer = "IBM",
                          .tpm_vendor = "SW",
                          .tpm_firmware = "1.2",
                          .tpm_software = true};
  ExpectRoundTrip(identity, EncodeIdentity(identity));
  const Activate activate{
      .nonce = Nonce::Filled(6), .credential = Bytes(1, 1), .secret = Bytes(2, 2), .device = true};
  ExpectRoundTrip(activate, EncodeActivate(activate));
  const Activation activation{.proof = Bytes(32, 1),
                              .iak_attest = Bytes(2, 2),
                              .iak_signature = Bytes(3, 3),
                              .idevid_attest = Bytes(4, 4),
                              .idevid_signature = Bytes(5, 5),
                              .device_error = "locked"};
  ExpectRoundTrip(activation, EncodeActivation(activation));
  const Refusal refusal{.code = RefusalCode::kBusy, .message = "later"};
  ExpectRoundTrip(refusal, EncodeRefusal(refusal));
  const Identify identify{.device = true};
  ExpectRoundTrip(identify, EncodeIdentify(identify));
}

TEST(Messages, ShorterAndLongerFormsAreErrors) {
  Bytes wire = EncodeEvidence(Sample());
  for (std::size_t n = 0; n < wire.size(); ++n)
    EXPECT_THAT(DecodeMessage(ByteView(wire).first(n), kMaxEvidence), FailsWith("parse.message"));
  wire.push_back(0);
  EXPECT_THAT(DecodeMessage(wire, kMaxEvidence), ::testing::Not(IsOk()));
}

TEST(Claims, GoBothWays) {
  const Evidence e = Sample();
  auto claims = ParseClaims(e.claims);
  ASSERT_THAT(claims, IsOk());
  EXPECT_EQ(EncodeClaims(*claims), e.claims);
  auto context = ParseContext(e.context);
  ASSERT_THAT(context, IsOk());
  EXPECT_EQ(context->at(0).comm, "a?b");
  const auto bad = ParseContext(AsBytes("{\"i\":1}\n"));
  ASSERT_THAT(bad, FailsWith("parse.context"));
}

TEST(Context, TellsTheControlGroup) {
  const ContextEntry e{.index = 7,
                       .sub = 0,
                       .time_ms = 1,
                       .pid = 2,
                       .uid = 3,
                       .comm = "sh",
                       .hook = "exec",
                       .cgroup = "/user.slice/a\"b"};
  const auto back = ParseContext(EncodeContextLine(e));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->at(0).cgroup, "/user.slice/a\"b");
}

TEST(Qualifying, DependsOnEachPart) {
  const Nonce n = Nonce::Filled(1);
  const Bytes a(1, 1), b(2, 2);
  const Bytes base = Qualifying(n, {"unix", {}}, a, b);
  EXPECT_EQ(base.size(), 32U);
  EXPECT_NE(base, Qualifying(Nonce::Filled(2), {"unix", {}}, a, b));
  EXPECT_NE(base, Qualifying(n, {"none", {}}, a, b));
  EXPECT_NE(base, Qualifying(n, {"unix", {1}}, a, b));
  EXPECT_NE(base, Qualifying(n, {"unix", {}}, b, b));
  EXPECT_NE(base, Qualifying(n, {"unix", {}}, a, a));
}

TEST(Messages, OfAnEnrolmentGoBothWays) {
  Identity id;
  id.ak_public = Bytes(120, 1);
  id.ek_public = Bytes(314, 2);
  id.ek_certificate = Bytes(1016, 3);
  id.tpm_vendor = "SW   TPM";
  id.tpm_software = true;
  const Bytes frame = EncodeIdentity(id);
  const auto size = FrameSize(frame, kMaxEvidence);
  ASSERT_TRUE(size && *size);
  EXPECT_EQ(**size, frame.size());
  const auto message = DecodeMessage(frame, kMaxEvidence);
  ASSERT_THAT(message, IsOk());
  const auto& back = std::get<Identity>(*message);
  EXPECT_EQ(back.ek_certificate, id.ek_certificate);
  EXPECT_EQ(back.tpm_vendor, "SW   TPM");
  EXPECT_EQ(EncodeIdentity(back), frame);
  for (std::size_t n = 0; n < frame.size(); n += 7)
    EXPECT_THAT(DecodeMessage(ByteView(frame).first(n), kMaxEvidence), FailsWith("parse.message"));
  EXPECT_THAT(DecodeQuestion(frame), FailsWith("parse.message"));  // an answer, no question
  for (const Question& q : {Question(Identify{}), Question(Identify{.device = true}),
                            Question(Activate{Nonce::Filled(1), Bytes(68, 2), Bytes(256, 3)})}) {
    const auto again = DecodeQuestion(EncodeQuestion(q));
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(EncodeQuestion(*again), EncodeQuestion(q));
  }
  id.ek_certificate.resize(tpm::kMaxEkCertificate + 1);
  EXPECT_THAT(DecodeMessage(EncodeIdentity(id), kMaxEvidence), FailsWith("parse.message"));
  // Of the attachments that only some machines have, there are all or none.
  id.ek_certificate = Bytes(1016, 3);
  id.iak_certificate = Bytes(900, 4);
  const Bytes named = EncodeIdentity(id);
  ASSERT_THAT(DecodeMessage(named, kMaxEvidence), IsOk());
  EXPECT_EQ(EncodeIdentity(std::get<Identity>(*DecodeMessage(named, kMaxEvidence))), named);
  for (const std::string_view part :
       {R"(,"device_chain":0)", R"(,"idevid_certificate":0,"device_chain":0)"}) {
    std::string text(AsText(named));
    const std::size_t at = text.find(part);
    ASSERT_NE(at, std::string::npos);
    text.erase(at, part.size());
    const auto header = static_cast<std::uint32_t>(text.find("}}") + 2 - 8);
    const Bytes some = Writer().Put("ASY1").U32Be(header).Put(text.substr(8)).Take();
    const auto decoded = DecodeMessage(some, kMaxEvidence);
    ASSERT_THAT(decoded, FailsWith("parse.message"));
    EXPECT_NE(decoded.error().Message().find("attachments are missing"), std::string::npos);
  }
  id.iak_certificate.resize(tpm::kMaxEkCertificate + 1);
  EXPECT_THAT(DecodeMessage(EncodeIdentity(id), kMaxEvidence), FailsWith("parse.message"));
  EXPECT_THAT(
      DecodeMessage(EncodeActivation({.proof = Bytes(32, 1), .iak_attest = Bytes(513, 1)}), kMaxEvidence),
      FailsWith("parse.message"));
  for (const Activate& bad : {Activate{Nonce::Filled(1), Bytes(129, 2), Bytes(256, 3)},
                              Activate{Nonce::Filled(1), Bytes(68, 2), {}}})
    EXPECT_THAT(DecodeQuestion(EncodeActivate(bad)), FailsWith("parse.message"));
  EXPECT_THAT(DecodeMessage(EncodeActivation({Bytes(31, 1)}), kMaxEvidence), FailsWith("parse.message"));
}

}  // namespace
}  // namespace assay::evidence
