// docs/formats/challenge.schema.json says what the messages really look like: real ones are held against it.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/fd.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "evidence/message.h"

namespace assay::evidence {
namespace {

// The header of a frame.
std::string Header(const Bytes& frame) {
  Reader r(frame, "frame");
  EXPECT_THAT(r.Take(4, "magic"), IsOk());
  const std::uint32_t size = r.U32Be("size").value();
  return std::string(AsText(r.Take(size, "header").value()));
}

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

Bytes ContextLine() {
  return EncodeContextLine({.index = 1,
                            .sub = 2,
                            .time_ms = 3,
                            .pid = 4,
                            .uid = 0xFFFFFFFF,
                            .comm = "a\x80",
                            .hook = "exec",
                            .cgroup = "/user.slice",
                            .program = "/usr/bin/dash",
                            .script = "./x",
                            .under = "bash, sshd"});
}

TEST(Schema, FitsTheMessages) {
  char name[] = "/tmp/assay-schema.XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string dir = name;
  const auto put = [&](const std::string& file, std::string_view text) {
    ASSERT_THAT(WriteFileAtomic(dir + "/" + file + ".json", AsBytes(text)), IsOk());
  };
  Challenge c;
  c.nonce = Nonce::Filled(0xAB);
  put("challenge-default", Header(EncodeChallenge(c)));
  c.selection = tpm::ParseSelectionText("sha1:10+sha256:0-7,10").value();
  c.first_record = ~std::uint64_t{0};
  put("challenge-selection", Header(EncodeChallenge(c)));
  put("not-challenge-version", Replaced(Header(EncodeChallenge(c)), "\"version\":1", "\"version\":2"));
  put("not-challenge-nonce", Replaced(Header(EncodeChallenge(c)), "abab", "ab"));

  Claims claims;
  claims.nonce = c.nonce;
  claims.binding = {"tls-exporter", Bytes(32, 9)};
  claims.hostname = HostName::OfSystem("caf\xC3\xA9\n");
  claims.pcrs = {
      {0x000B, {{0, Digest::Filled(HashAlg::kSha256, 1)}, {10, Digest::Filled(HashAlg::kSha256, 2)}}},
      {0x0004, {{10, Digest::Filled(HashAlg::kSha1, 3)}}}};
  claims.checkpoints = {{3, Digest::Filled(HashAlg::kSha256, 4)}};
  Evidence e;
  e.attest = Bytes(145, 1);
  e.claims = EncodeClaims(claims);
  put("claims-full", AsText(e.claims));
  claims.level = Level::kQuote;
  claims.checkpoints.clear();
  put("claims-quote", AsText(EncodeClaims(claims)));
  put("not-claims-more", Replaced(std::string(AsText(e.claims)), "{\"boot_id\"", "{\"extra\":1,\"boot_id\""));
  put("evidence-parts", Header(EncodeEvidence(e)));
  put("not-evidence-parts", Replaced(Header(EncodeEvidence(e)), "\"attest\":145", "\"attest\":9999"));
  for (const ErrorRow& row : kRefusalCodes)
    put("refusal-" + std::string(row.name),
        Header(EncodeRefusal({static_cast<RefusalCode>(row.value), "why \x01\xFF not"})));
  put("identify-one", Header(EncodeIdentify()));
  put("identify-device", Header(EncodeIdentify({.device = true})));
  Identity id;
  id.ak_public = Bytes(120, 1);
  id.ek_certificate = Bytes(1016, 2);
  id.tpm_vendor = "SW \xFF";
  put("identity-one", Header(EncodeIdentity(id)));
  Identity named = id;
  named.iak_certificate = Bytes(900, 3);
  named.device_certificate_error = "cut";
  put("identity-device", Header(EncodeIdentity(named)));
  put("not-identity-some",
      Replaced(Header(EncodeIdentity(named)), ",\"idevid_certificate\":0,\"device_chain\":0", ""));
  put("not-identity-parts",
      Replaced(Header(EncodeIdentity(id)), "\"ek_certificate\":1016", "\"ek_certificate\":9999"));
  const Activate activate{
      .nonce = c.nonce, .credential = Bytes(68, 3), .secret = Bytes(tpm::kMaxEncryptedSecret, 4)};
  put("activate-one", Header(EncodeActivate(activate)));
  put("not-activate-secret", Replaced(Header(EncodeActivate(activate)), "\"secret\":\"", "\"secret\":\"00"));
  put("activation-one", Header(EncodeActivation({Bytes(32, 5)})));
  put("activation-device", Header(EncodeActivation({.proof = Bytes(32, 5),
                                                    .iak_attest = Bytes(200, 1),
                                                    .iak_signature = Bytes(72, 2),
                                                    .device_error = "IDevID: locked"})));
  put("not-activation-attest",
      Header(EncodeActivation({.proof = Bytes(32, 5), .iak_attest = Bytes(513, 1)})));
  put("not-activation-short", Header(EncodeActivation({Bytes(31, 5)})));
  put("not-refusal-code", Replaced(Header(EncodeRefusal({RefusalCode::kBusy, ""})), "\"busy\"", "\"sorry\""));
  put("context_line-one", AsText(ContextLine()));
  const std::string root = TestData() + "/../..";
  EXPECT_EQ(
      system((root + "/tests/schema/check " + root + "/docs/formats/challenge.schema.json " + dir).c_str()),
      0);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay::evidence
