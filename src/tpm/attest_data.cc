#include "tpm/attest_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "tpm/ek_policy.h"
#include "tpm/errors.h"

namespace assay::tpm {
namespace {

constexpr std::uint32_t kGenerated = 0xFF544347;  // TPM_GENERATED_VALUE
constexpr std::uint16_t kStAttestQuote = 0x8018;
constexpr std::uint16_t kAlgRsa = 0x0001, kAlgEcc = 0x0023, kAlgNull = 0x0010;
constexpr std::uint16_t kAlgRsassa = 0x0014, kAlgRsapss = 0x0016, kAlgEcdsa = 0x0018, kAlgSha256 = 0x000B;
constexpr std::uint16_t kCurveP256 = 0x0003, kCurveP384 = 0x0004, kAlgSha384 = 0x000C;
constexpr std::size_t kMaxBanks = 16, kMaxSelect = 32, kMaxBuffer = 1024;
constexpr std::uint32_t kFixedTpm = 1U << 1, kFixedParent = 1U << 4, kSensitiveDataOrigin = 1U << 5;
constexpr std::uint32_t kUserWithAuth = 1U << 6, kAdminWithPolicy = 1U << 7, kNoDa = 1U << 10;
constexpr std::uint32_t kRestricted = 1U << 16, kDecrypt = 1U << 17, kSign = 1U << 18;
constexpr std::uint16_t kAlgAes = 0x0006, kAlgCfb = 0x0043;

// PolicyOR(PolicyCommandCode(TPM2_Quote), PolicyCommandCode(TPM2_ActivateCredential)); docs/formats/tpm.md
constexpr std::array<std::uint8_t, 32> kAkPolicy = {
    0x7F, 0xB1, 0x35, 0x28, 0xAC, 0xD6, 0x9E, 0x0C, 0x56, 0x6D, 0x1F, 0x78, 0x5F, 0xFA, 0x69, 0x3D,
    0xEA, 0x54, 0xC6, 0x6D, 0x4B, 0x3A, 0x0F, 0x1D, 0xB8, 0xE8, 0x2C, 0x9A, 0x5A, 0x59, 0x3A, 0x4C};

Result<ByteView> Sized(Reader& r, std::size_t max, std::string_view what) {
  const std::uint64_t at = r.offset();
  ASSAY_ASSIGN(const std::uint16_t n, r.U16Be(what));
  if (n > max) return Fail(r.BadAt(at, std::string(what) + ": too long"));
  return r.Take(n, what);
}

// TPMT_SYM_DEF_OBJECT
Result<> Symmetric(Reader& r, KeyPublic& k) {
  ASSAY_ASSIGN(k.symmetric, r.U16Be("symmetric"));
  if (k.symmetric == kAlgNull) return {};
  ASSAY_ASSIGN(k.symmetric_bits, r.U16Be("symmetric key bits"));
  ASSAY_ASSIGN(k.symmetric_mode, r.U16Be("symmetric mode"));
  return {};
}

// TPMT_ECC_SCHEME, TPMT_RSA_SCHEME and TPMT_KDF_SCHEME: the hash follows unless the scheme is null or RSAES.
Result<std::pair<std::uint16_t, std::uint16_t>> Scheme(Reader& r) {
  constexpr std::uint16_t kAlgRsaes = 0x0015, kAlgEcdaa = 0x001A;
  ASSAY_ASSIGN(const std::uint16_t scheme, r.U16Be("scheme"));
  std::uint16_t hash = kAlgNull;
  if (scheme != kAlgNull && scheme != kAlgRsaes) {
    ASSAY_ASSIGN(hash, r.U16Be("scheme hash"));
  }
  if (scheme == kAlgEcdaa) ASSAY_TRY(r.U16Be("scheme count"));
  return std::pair{scheme, hash};
}

Error Weak(std::string what) { return StateError(AkError::kWeak, std::move(what)); }
Error Other(ErrorCode error, std::string what) { return StateError(error, std::move(what)); }

}  // namespace

std::optional<HashAlg> BestBank(std::span<const HashAlg> banks) {
  for (const HashAlg bank : {HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512})
    if (std::find(banks.begin(), banks.end(), bank) != banks.end()) return bank;
  return std::nullopt;
}

Result<PcrSelection> ParseSelectionText(std::string_view text) {
  PcrSelection out;
  const auto bad = [&](std::string_view why) {
    return Fail(UsageError(fmt::format("PCR selection '{}': {}", text, why)));
  };
  for (std::string_view rest = text; !rest.empty();) {
    const auto plus = rest.find('+');
    const std::string_view part = rest.substr(0, plus);
    rest = plus == std::string_view::npos ? std::string_view{} : rest.substr(plus + 1);
    if (plus != std::string_view::npos && rest.empty()) return bad("a bank is missing after '+'");
    const auto colon = part.find(':');
    if (colon == std::string_view::npos) return bad("a bank is written as sha256:0,1,10");
    const auto alg = HashFromName(part.substr(0, colon));
    if (!alg) return bad("unknown bank");
    BankSelection bank{.bank = static_cast<std::uint16_t>(*alg), .pcrs = {}};
    std::uint32_t mask = 0;
    for (std::string_view list = part.substr(colon + 1); !list.empty();) {
      const auto comma = list.find(',');
      const std::string_view item = list.substr(0, comma);
      list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
      if (comma != std::string_view::npos && list.empty()) return bad("a PCR is missing after ','");
      const auto dash = item.find('-');
      std::uint32_t first = 0, last = 0;
      const auto number = [](std::string_view s, std::uint32_t& n) {
        const auto r = std::from_chars(s.data(), s.data() + s.size(), n);
        return !s.empty() && r.ec == std::errc() && r.ptr == s.data() + s.size() && n < 24;
      };
      if (!number(item.substr(0, dash), first)) return bad("not a PCR (0 to 23)");
      last = first;
      if (dash != std::string_view::npos && !number(item.substr(dash + 1), last))
        return bad("not a PCR (0 to 23)");
      if (last < first) return bad("a range must go up");
      for (std::uint32_t i = first; i <= last; ++i) mask |= 1U << i;
    }
    if (mask == 0) return bad("no PCR");
    for (std::uint32_t i = 0; i < 24; ++i)
      if ((mask >> i & 1U) != 0) bank.pcrs.push_back(i);
    for (const BankSelection& other : out)
      if (other.bank == bank.bank) return bad("a bank named twice");
    out.push_back(std::move(bank));
  }
  if (out.empty()) return bad("empty");
  return out;
}

std::string SelectionText(const PcrSelection& selection) {
  std::string out;
  for (const BankSelection& bank : selection) {
    if (!out.empty()) out += '+';
    const auto alg = HashFromTpmAlg(bank.bank);
    out += alg ? std::string(HashName(*alg)) : fmt::format("{:#06x}", bank.bank);
    char separator = ':';
    for (const std::uint32_t pcr : bank.pcrs) {
      out += separator + std::to_string(pcr);
      separator = ',';
    }
  }
  return out;
}

Result<Quote> ParseQuote(ByteView tpms_attest) {
  Reader r(tpms_attest, "tpms-attest");
  Quote q;
  ASSAY_ASSIGN(const std::uint32_t magic, r.U32Be("magic"));
  if (magic != kGenerated) return Fail(r.BadAt(0, "not generated by a TPM"));
  ASSAY_ASSIGN(const std::uint16_t type, r.U16Be("type"));
  if (type != kStAttestQuote) return Fail(r.BadAt(4, "not a quote"));
  ASSAY_ASSIGN(ByteView signer, Sized(r, kMaxBuffer, "qualified signer"));
  q.qualified_signer = ToBytes(signer);
  ASSAY_ASSIGN(ByteView extra, Sized(r, kMaxBuffer, "extra data"));
  q.extra_data = ToBytes(extra);
  ASSAY_ASSIGN(q.clock.clock, r.U64Be("clock"));
  ASSAY_ASSIGN(q.clock.reset_count, r.U32Be("reset count"));
  ASSAY_ASSIGN(q.clock.restart_count, r.U32Be("restart count"));
  ASSAY_ASSIGN(const std::uint8_t safe, r.U8("safe"));
  if (safe > 1) return Fail(r.BadAt(r.offset() - 1, "safe: neither yes nor no"));
  q.clock.safe = safe == 1;
  ASSAY_ASSIGN(q.firmware_version, r.U64Be("firmware version"));
  const std::uint64_t at = r.offset();
  ASSAY_ASSIGN(const std::uint32_t banks, r.U32Be("bank count"));
  if (banks > kMaxBanks) return Fail(r.BadAt(at, "too many banks"));
  for (std::uint32_t i = 0; i < banks; ++i) {
    BankSelection bank;
    ASSAY_ASSIGN(bank.bank, r.U16Be("bank"));
    ASSAY_ASSIGN(const std::uint8_t size, r.U8("select size"));
    if (size > kMaxSelect) return Fail(r.BadAt(r.offset() - 1, "select size: too large"));
    ASSAY_ASSIGN(ByteView bits, r.Take(size, "select"));
    for (std::uint32_t p = 0; p < size * 8U; ++p)
      if ((bits[p / 8] >> (p % 8) & 1) != 0) bank.pcrs.push_back(p);
    q.selection.push_back(std::move(bank));
  }
  ASSAY_ASSIGN(ByteView digest, Sized(r, kMaxDigestSize, "pcr digest"));
  q.pcr_digest = ToBytes(digest);
  if (!r.done()) return Fail(r.Bad("bytes after the quote"));
  return q;
}

Result<KeyPublic> ParsePublic(ByteView tpmt_public) {
  Reader r(tpmt_public, "tpmt-public");
  KeyPublic k;
  ASSAY_ASSIGN(k.type, r.U16Be("type"));
  ASSAY_ASSIGN(k.name_alg, r.U16Be("name algorithm"));
  ASSAY_ASSIGN(k.attributes, r.U32Be("attributes"));
  ASSAY_ASSIGN(ByteView policy, Sized(r, kMaxDigestSize, "policy"));
  k.auth_policy = ToBytes(policy);
  if (k.type == kAlgEcc) {
    ASSAY_TRY(Symmetric(r, k));
    ASSAY_ASSIGN(const auto scheme, Scheme(r));
    std::tie(k.scheme, k.scheme_hash) = scheme;
    ASSAY_ASSIGN(const std::uint16_t curve, r.U16Be("curve"));
    ASSAY_ASSIGN(const auto kdf, Scheme(r));
    k.kdf = kdf.first;
    ASSAY_ASSIGN(ByteView x, Sized(r, 128, "x"));
    ASSAY_ASSIGN(ByteView y, Sized(r, 128, "y"));
    k.x_or_modulus = ToBytes(x);
    k.y = ToBytes(y);
    if (curve == kCurveP256 && x.size() <= 32 && y.size() <= 32) k.kind = KeyPublic::Kind::kEccP256;
    if (curve == kCurveP384 && x.size() <= 48 && y.size() <= 48) k.kind = KeyPublic::Kind::kEccP384;
  } else if (k.type == kAlgRsa) {
    ASSAY_TRY(Symmetric(r, k));
    ASSAY_ASSIGN(const auto scheme, Scheme(r));
    std::tie(k.scheme, k.scheme_hash) = scheme;
    ASSAY_ASSIGN(const std::uint16_t bits, r.U16Be("key bits"));
    ASSAY_ASSIGN(k.rsa_exponent, r.U32Be("exponent"));
    if (k.rsa_exponent == 0) k.rsa_exponent = 65537;  // part 2, section 12.2.3.5
    ASSAY_ASSIGN(ByteView modulus, Sized(r, 512, "modulus"));
    k.x_or_modulus = ToBytes(modulus);
    if (bits == 2048 && modulus.size() == 256) k.kind = KeyPublic::Kind::kRsa2048;
    if (bits == 3072 && modulus.size() == 384) k.kind = KeyPublic::Kind::kRsa3072;
  } else {
    return Fail(r.BadAt(0, "neither an ECC nor an RSA key"));
  }
  if (!r.done()) return Fail(r.Bad("bytes after the key"));
  const auto alg = HashFromTpmAlg(k.name_alg);
  if (!alg || !CanHash(*alg)) return Fail(r.BadAt(2, "unknown name algorithm"));
  k.name = Writer().U16Be(k.name_alg).Put(Hash(*alg, tpmt_public).view()).Take();
  return k;
}

Result<PublicKey> KeyPublic::Key() const {
  switch (kind) {
    case Kind::kEccP256:
      return PublicKey::FromEcP256(x_or_modulus, y);
    case Kind::kEccP384:
      return PublicKey::FromEcP384(x_or_modulus, y);
    case Kind::kRsa2048:
    case Kind::kRsa3072:
      return PublicKey::FromRsa(x_or_modulus, rsa_exponent);
    case Kind::kOther:
      break;
  }
  return Fail(Weak("the key is neither ECC P-256 or P-384 nor RSA-2048 or RSA-3072"));
}

namespace {

// The kinds of keys that quotes and runs are signed by.
bool Signs(KeyPublic::Kind kind) {
  return kind == KeyPublic::Kind::kEccP256 || kind == KeyPublic::Kind::kRsa2048;
}

}  // namespace

Result<> CheckAkAttributes(const KeyPublic& ak) {
  const auto need = [&](std::uint32_t bit, ErrorCode error, const char* why) -> Result<> {
    if ((ak.attributes & bit) == 0) return Fail(StateError(error, why));
    return {};
  };
  ASSAY_TRY(need(kRestricted, AkError::kNotRestricted,
                 "the AK is not restricted: it can sign quotes that the TPM did not make"));
  ASSAY_TRY(need(kSign, AkError::kNotSigning, "the AK is not a signing key"));
  ASSAY_TRY(need(kFixedTpm, AkError::kNotFixedTpm, "the AK is not fixed to one TPM"));
  ASSAY_TRY(need(kFixedParent, AkError::kNotFixedParent, "the AK is not fixed to its parent"));
  ASSAY_TRY(need(kSensitiveDataOrigin, AkError::kImported, "the AK was not made by a TPM"));
  if ((ak.attributes & kDecrypt) != 0) return Fail(StateError(AkError::kDecrypts, "the AK also decrypts"));
  if (ak.name_alg != kAlgSha256) return Fail(Weak("the AK's name is not SHA-256"));
  if (!Signs(ak.kind)) return Fail(Weak("the AK is neither ECC P-256 nor RSA-2048"));
  if (ak.kind == KeyPublic::Kind::kRsa2048 && ak.rsa_exponent < 65537)
    return Fail(Weak("the AK's exponent is small"));
  const bool scheme_fits = ak.kind == KeyPublic::Kind::kEccP256
                               ? ak.scheme == kAlgEcdsa
                               : ak.scheme == kAlgRsassa || ak.scheme == kAlgRsapss;
  if (!scheme_fits || ak.scheme_hash != kAlgSha256)
    return Fail(Weak("the AK's scheme is not fixed to SHA-256"));
  constexpr std::uint32_t kAttributes =
      kFixedTpm | kFixedParent | kSensitiveDataOrigin | kAdminWithPolicy | kNoDa | kRestricted | kSign;
  if (ak.attributes != kAttributes)
    return Fail(Other(AkError::kTemplate, fmt::format("the AK has the attributes {:#x}", ak.attributes)));
  if (!Equal(ak.auth_policy, kAkPolicy))
    return Fail(Other(AkError::kTemplate, "the AK's policy allows other uses than quotes and enrolment"));
  if (ak.symmetric != kAlgNull || ak.kdf != kAlgNull || ak.scheme == kAlgRsapss ||
      (ak.type == kAlgRsa && ak.rsa_exponent != 65537))
    return Fail(Other(AkError::kTemplate, "the AK has other parameters than the template"));
  return {};
}

Result<> CheckRunKey(const KeyPublic& key) {
  constexpr std::uint32_t kAttributes =
      kFixedTpm | kFixedParent | kSensitiveDataOrigin | kUserWithAuth | kNoDa | kSign;
  if (key.kind != KeyPublic::Kind::kEccP256 || key.name_alg != kAlgSha256 || key.attributes != kAttributes ||
      !key.auth_policy.empty() || key.scheme != kAlgEcdsa || key.scheme_hash != kAlgSha256 ||
      key.symmetric != kAlgNull || key.kdf != kAlgNull)
    return Fail(Other(RunKeyError::kTemplate, "the run key does not have the run key's template"));
  return {};
}

Result<> CheckEkTemplate(const KeyPublic& ek) {
  constexpr std::uint32_t kLow =
      kFixedTpm | kFixedParent | kSensitiveDataOrigin | kAdminWithPolicy | kRestricted | kDecrypt;
  const auto other = [](std::string what) { return Fail(Other(EkError::kTemplate, std::move(what))); };
  if (ek.kind == KeyPublic::Kind::kOther)
    return other("the EK is neither ECC P-256 or P-384 nor RSA-2048 or RSA-3072");
  const bool high = (ek.attributes & kUserWithAuth) != 0;
  // Larger keys are of the high range, with SHA-384 and AES-256.
  const bool large = !Signs(ek.kind);
  if (ek.name_alg != (large ? kAlgSha384 : kAlgSha256))
    return other(fmt::format("the EK's name is not {}", large ? "SHA-384" : "SHA-256"));
  if (ek.attributes != (high ? kLow | kUserWithAuth : kLow) || (large && !high))
    return other(fmt::format("the EK has the attributes {:#x}", ek.attributes));
  const ByteView policy = !high   ? ByteView(kEkPolicyLow)
                          : large ? ByteView(kEkPolicyHighSha384)
                                  : ByteView(kEkPolicyHighSha256);
  if (!Equal(ek.auth_policy, policy)) return other("the EK has another policy than the default one");
  if (ek.symmetric != kAlgAes || ek.symmetric_bits != (large ? 256 : 128) || ek.symmetric_mode != kAlgCfb)
    return other(
        fmt::format("the EK protects by another algorithm than AES-{} in CFB mode", large ? 256 : 128));
  if (ek.scheme != kAlgNull || ek.kdf != kAlgNull || (ek.type == kAlgRsa && ek.rsa_exponent != 65537))
    return other("the EK has other parameters than the default template");
  return {};
}

Result<> VerifyQuoteSignature(const KeyPublic& ak, ByteView tpms_attest, ByteView tpmt_signature) {
  Reader r(tpmt_signature, "tpmt-signature");
  ASSAY_ASSIGN(const std::uint16_t scheme, r.U16Be("scheme"));
  ASSAY_ASSIGN(const std::uint16_t hash, r.U16Be("hash"));
  if (scheme != ak.scheme) return Fail(r.BadAt(0, "not the key's scheme"));
  if (hash != kAlgSha256) return Fail(r.BadAt(2, "not over SHA-256"));
  if (!Signs(ak.kind)) return Fail(Weak("the key is neither ECC P-256 nor RSA-2048"));
  ASSAY_ASSIGN(PublicKey key, ak.Key());
  const Digest digest = Hash(HashAlg::kSha256, tpms_attest);
  Result<> verified;
  if (ak.kind == KeyPublic::Kind::kEccP256) {
    ASSAY_ASSIGN(ByteView sig_r, Sized(r, 32, "r"));
    ASSAY_ASSIGN(ByteView sig_s, Sized(r, 32, "s"));
    if (!r.done()) return Fail(r.Bad("bytes after the signature"));
    verified = key.VerifyEcdsaDigest(digest, sig_r, sig_s);
  } else {
    ASSAY_ASSIGN(ByteView sig, Sized(r, 256, "signature"));
    if (!r.done()) return Fail(r.Bad("bytes after the signature"));
    verified = key.VerifyRsaDigest(digest, sig, scheme == kAlgRsapss);
  }
  if (!verified)
    return Fail(
        StateError(QuoteError::kSignature, "the AK did not sign this: " + verified.error().Message()));
  return {};
}

Result<Digest> PcrDigest(const PcrSelection& selection, const PcrValues& values) {
  Hasher h(HashAlg::kSha256);
  for (const BankSelection& bank : selection) {
    const auto of_bank = values.find(bank.bank);
    for (const std::uint32_t pcr : bank.pcrs) {
      if (of_bank == values.end() || !of_bank->second.contains(pcr))
        return Fail(StateError(QuoteError::kPcrMissing,
                               fmt::format("no value for PCR {} of bank {:#06x}", pcr, bank.bank)));
      h.Update(of_bank->second.at(pcr).view());
    }
  }
  return h.Finish();
}

}  // namespace assay::tpm
