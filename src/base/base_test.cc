#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/digest.h"
#include "base/digest_text.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "base/result_testing.h"

namespace assay {
namespace {

TEST(Bytes, HexAndBase64RoundTripAndRefuse) {
  for (std::size_t n = 0; n < 40; ++n) {
    const Bytes b = *RandomBytes(n);
    EXPECT_EQ(*FromHex(Hex(b)), b);
    EXPECT_EQ(*FromBase64(Base64(b)), b);
    EXPECT_EQ(*FromBase64Url(Base64Url(b)), b);
  }
  EXPECT_EQ(Base64(AsBytes("hello")), "aGVsbG8=");
  EXPECT_EQ(FromHex("0g").error().As<ParseError>()->offset, 1U);
  for (const char* bad : {"abc", "a", "ab=c", "aGVsbG9=", "===="})
    EXPECT_THAT(FromBase64(bad), FailsWith("parse.base64")) << bad;
}

TEST(Bytes, ReaderStopsAtItsEndAndKeepsItsPlace) {
  const Bytes data = {1, 2, 3, 4, 5};
  Reader r(data, "t", 100);
  EXPECT_EQ(*r.U32Le(), 0x04030201U);
  const auto bad = r.U16Be("size");
  ASSERT_THAT(bad, FailsWith("parse.t"));
  EXPECT_EQ(bad.error().As<ParseError>()->offset, 104U);
  EXPECT_EQ(*r.U8(), 5);
  EXPECT_TRUE(r.done());
}

TEST(Digest, KnownAnswersAndExtend) {
  EXPECT_EQ(Hash(HashAlg::kSha256, AsBytes("abc")).hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Hasher h(HashAlg::kSha1);
  EXPECT_EQ(h.Update("a").Update("bc").Finish().hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(h.Update("abc").Finish().hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  const Digest zero = Digest::Filled(HashAlg::kSha256, 0);
  Bytes both(64, 0);
  EXPECT_EQ(ExtendPcr(zero, zero), Hash(HashAlg::kSha256, both));
  EXPECT_EQ(HashFromName("sm3"), HashAlg::kSm3_256);
  EXPECT_FALSE(CanHash(HashAlg::kSha3_256));
  EXPECT_THAT(Digest::Of(HashAlg::kSha1, Bytes(32)), FailsWith("parse.digest"));
}

TEST(Crypto, Es256SignsAndRefuses) {
  const PrivateKey key = *PrivateKey::GenerateP256();
  const Bytes sig = *key.SignEs256(AsBytes("m"));
  EXPECT_THAT(key.Public().VerifyEs256(AsBytes("m"), sig), IsOk());
  EXPECT_THAT(key.Public().VerifyEs256(AsBytes("n"), sig), FailsWith("crypto.bad-signature"));
  const PublicKey again = *PublicKey::FromPem(key.Public().Pem());
  EXPECT_THAT(again.VerifyEs256(AsBytes("m"), sig), IsOk());
  const PrivateKey other = *PrivateKey::FromPem(PrivateKey::GenerateP256()->Pem());
  EXPECT_THAT(other.Public().VerifyEs256(AsBytes("m"), sig), FailsWith("crypto.bad-signature"));
  const std::string ca = *MakeCertificatePem(key, {.common_name = "ca", .is_ca = true}, nullptr, "");
  const X509Ptr leaf = *CertificateFromPem(*MakeCertificatePem(other, {.common_name = "leaf"}, &key, ca));
  EXPECT_EQ(CertificateCommonName(leaf.get()), "leaf");
}

TEST(Digest, ParseTakesWhatToStringWrites) {
  for (const HashAlg alg : {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSm3_256, HashAlg::kSha3_512}) {
    const Digest digest = Digest::Filled(alg, 0xAB);
    EXPECT_EQ(ParseDigest(digest.ToString()).value(), digest);
  }
  const std::string hex = Digest::Filled(HashAlg::kSha256, 0xAB).hex();
  for (const std::string& text :
       {std::string(), hex, ":" + hex, "sha1:" + hex, "sha256:" + hex.substr(1), "SHA256:" + hex,
        "sha-256:" + hex, "sha256:" + hex.substr(2) + "AB", "sha256:" + hex + " "})
    EXPECT_FALSE(ParseDigest(text)) << text;
}

TEST(Fingerprint, IsOf32Bytes) {
  const Fingerprint ab = Fingerprint::Of(Bytes(32, 0xAB)).value();
  EXPECT_EQ(Fingerprint::Parse(ab.ToString()).value(), ab);
  std::string upper = ab.ToString();
  std::transform(upper.begin(), upper.end(), upper.begin(), ::toupper);
  EXPECT_EQ(Fingerprint::Parse(upper).value(), ab);
  EXPECT_LT(Fingerprint(), ab);
  for (const std::size_t size : {0, 31, 33}) EXPECT_FALSE(Fingerprint::Of(Bytes(size, 1))) << size;
  for (const std::string& text :
       {std::string(), std::string("ab"), std::string(64, 'x'), ab.ToString() + "00"})
    EXPECT_FALSE(Fingerprint::Parse(text)) << text;
}

TEST(Json, TypedBoundedAndStrict) {
  const auto doc = JsonDoc::Parse(R"({"a":"x","n":5,"l":[1,2],"o":{"b":true}})", "t");
  ASSERT_THAT(doc, IsOk());
  EXPECT_EQ(*doc->root().Str("a"), "x");
  EXPECT_EQ(*doc->root().U64("n"), 5U);
  EXPECT_EQ(*doc->root().Object("o")->Bool("b"), true);
  std::uint64_t sum = 0;
  EXPECT_THAT(doc->root().Array("l")->Each([&](const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(std::uint64_t n, v.AsU64());
    sum += n;
    return {};
  }),
              IsOk());
  EXPECT_EQ(sum, 3U);
  EXPECT_THAT(doc->root().Str("n"), FailsWith("parse.t"));
  EXPECT_THAT(doc->root().OnlyKeys({"a", "n", "l"}), FailsWith("parse.t"));
  EXPECT_THAT(JsonDoc::Parse(R"({"a":1,"a":2})", "t")->root().OnlyKeys({"a"}), FailsWith("parse.t"));
  const auto more = JsonDoc::Parse(R"({"h":"0aFF","x":"0","s":["a","b"],"big":4294967296,"n":-1})", "t");
  EXPECT_EQ(more->root().Hex("h").value(), (Bytes{0x0A, 0xFF}));
  EXPECT_EQ(more->root().Hex("x").error().Message(), "t: /x: not hexadecimal at offset 0");
  EXPECT_EQ(more->root().Strings("s").value(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(more->root().U32("big").error().Message(), "t: /big: too large at offset 0");
  EXPECT_FALSE(more->root().U32("n"));
  EXPECT_EQ(more->root().Get("n")->AsInt().value(), -1);
  EXPECT_EQ(more->root().Get("none").error().Message(), "t: /none: missing at offset 0");
  EXPECT_THAT(JsonDoc::Parse(std::string(100, '[') + std::string(100, ']'), "t"), FailsWith("parse.t"));
  EXPECT_FALSE(JsonDoc::Parse("{", "t"));
  EXPECT_THAT(JsonDoc::Parse("[1,2,3]", "t", 3), FailsWith("parse.t"));
}

TEST(Fd, WholeFilesWithinTheirBounds) {
  char dir[] = "/tmp/assay-fd-XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/f";
  EXPECT_THAT(WriteFileAtomic(path, AsBytes("hello"), 0640), IsOk());
  struct stat st;
  EXPECT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0640U);
  EXPECT_EQ(AsText(*ReadFile(path, 5)), "hello");
  EXPECT_THAT(ReadFile(path, 4), FailsWith("io.too-large"));
  EXPECT_EQ(ReadFile(path + "x", 4).error().As<OsError>()->err, ENOENT);
  unlink(path.c_str());
  rmdir(dir);
}

}  // namespace
}  // namespace assay
