#include "tpm/ek_certificate.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/crypto.h"
#include "base/text.h"
#include "tpm/certificate.h"
#include "tpm/errors.h"

namespace assay::tpm {
namespace {

constexpr std::size_t kMaxLinks = 16, kMaxDepth = 8;
constexpr const char* kEkUsage = "2.23.133.8.1";  // tcg-kp-EKCertificate
constexpr int kMinimalBits = 100;                 // security bits of a signature's digest; SHA-1 has 63

struct CrlDelete {
  void operator()(X509_CRL* p) const { X509_CRL_free(p); }
};
struct StoreDelete {
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
};
struct StoreCtxDelete {
  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
};
struct StackDelete {
  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }  // the certificates are owned elsewhere
};
struct NamesDelete {
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
};
struct UsageDelete {
  void operator()(EXTENDED_KEY_USAGE* p) const { EXTENDED_KEY_USAGE_free(p); }
};
using CrlPtr = std::unique_ptr<X509_CRL, CrlDelete>;

Error Bad(std::uint64_t at, std::string what) { return ParseError("ek-certificate", at, std::move(what)); }

// The size of the element (X.690, 8.1) at the start, including its header. BER's indefinite length is not
// allowed in certificates.
Result<std::size_t> ElementSize(ByteView b, std::uint64_t at) {
  if (b.size() < 2 || b[0] != 0x30) return Fail(Bad(at, "there is no certificate at this place"));
  std::size_t length = b[1], head = 2;
  if (length >= 0x80) {
    const std::size_t n = length & 0x7F;
    if (n == 0 || n > 4 || b.size() < 2 + n) return Fail(Bad(at + 1, "length"));
    length = 0;
    for (std::size_t i = 0; i < n; ++i) length = length << 8 | b[2 + i];
    head += n;
  }
  if (length > b.size() - head) return Fail(Bad(at + b.size(), "truncated"));
  return head + length;
}

bool IsPadding(ByteView rest) {
  return std::all_of(rest.begin(), rest.end(), [&](std::uint8_t b) { return b == rest[0]; }) &&
         (rest.empty() || rest[0] == 0 || rest[0] == 0xFF);
}

// A certificate with OpenSSL's own notes of trust behind it, which are not used.
X509Ptr FromTrusted(ByteView der) {
  const unsigned char* p = der.data();
  X509Ptr x(d2i_X509_AUX(nullptr, &p, static_cast<long>(der.size())));
  if (x && p != der.data() + der.size()) x.reset();
  return x;
}

CrlPtr CrlFromDer(ByteView der) {
  const unsigned char* p = der.data();
  CrlPtr crl(d2i_X509_CRL(nullptr, &p, static_cast<long>(der.size())));
  if (crl && p != der.data() + der.size()) crl.reset();
  return crl;
}

struct OpenSslFree {
  void operator()(void* p) const { OPENSSL_free(p); }
};
template <typename T>
using OpenSslPtr = std::unique_ptr<T, OpenSslFree>;

// Calls take for each part of a PEM text that has one of these names; other parts (keys, CRLs beside
// certificates) are passed over. A part that can't be read is an error that names it: whoever gave the bundle
// wants all of it.
Result<> EachPem(std::string_view text, const std::vector<std::string_view>& names, std::string_view what,
                 const std::function<bool(std::string_view name, ByteView der)>& take) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
  std::size_t taken = 0, part = 0;
  // The line that begins a part may be broken: then its end stands alone.
  const auto alone = [&] {
    return Fail(ParseError("pem", 0, fmt::format("behind part {} a part ends that has no beginning", part)));
  };
  if (text.substr(0, text.find(kBegin)).find(kEnd) != std::string_view::npos) return alone();
  for (std::size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at + 1)) {
    ++part;
    const std::size_t line = 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + at, '\n'));
    // A part that has no end must not take up the next one.
    const std::size_t next = std::min(text.find(kBegin, at + 1), text.size());
    const std::string_view here = text.substr(at, next - at);
    const std::size_t end = here.find(kEnd);
    if (end != std::string_view::npos && here.find(kEnd, end + 1) != std::string_view::npos) return alone();
    const std::size_t name_end = here.find("-----", kBegin.size());
    const std::string_view told =
        here.substr(kBegin.size(), std::min(name_end, here.find('\n')) - kBegin.size());
    if (name_end < here.find('\n') && std::find(names.begin(), names.end(), told) == names.end()) continue;
    const BioPtr bio(BIO_new_mem_buf(here.data(), static_cast<int>(here.size())));
    char *name = nullptr, *header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    const bool read = PEM_read_bio(bio.get(), &name, &header, &data, &size) == 1;
    const OpenSslPtr<char> name_owner(name), header_owner(header);
    const OpenSslPtr<unsigned char> data_owner(data);
    if (!read || !take(name, {data, static_cast<std::size_t>(size)}))
      return Fail(OpenSslError(fmt::format("part {} (line {}) can't be read as a {}", part, line, what)));
    ++taken;
  }
  if (taken == 0) return Fail(ParseError("pem", 0, fmt::format("the text has no {}", what)));
  return {};
}

EkFacts ReadFacts(const X509* x) {
  EkFacts facts;
  EachAlternativeName(x, [&](const std::string& oid, std::string value) {
    std::string* where = oid == "2.23.133.2.1"   ? &facts.manufacturer
                         : oid == "2.23.133.2.2" ? &facts.model
                         : oid == "2.23.133.2.3" ? &facts.version
                                                 : nullptr;
    if (where != nullptr) *where = std::move(value);
  });
  return facts;
}

// Whether every critical extension that OpenSSL does not know is one that EK certificates usually have.
bool OnlyKnownCritical(const X509* x) {
  for (int i = 0; i < X509_get_ext_count(x); ++i) {
    X509_EXTENSION* e = X509_get_ext(x, i);
    if (X509_EXTENSION_get_critical(e) == 0 || X509_supported_extension(e) != 0) continue;
    const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
    if (nid != NID_subject_alt_name && nid != NID_subject_directory_attributes) return false;
  }
  return true;
}

ErrorCode CodeOf(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return EkError::kCertificateExpired;
    case X509_V_ERR_CERT_REVOKED:
      return EkError::kCertificateRevoked;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
      return EkError::kNoCrl;
    default:
      return EkError::kUntrustedChain;
  }
}

struct Walk {
  bool require_crls = false;
  ChainReport* report = nullptr;
};

bool IsUnrooted(int error) {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return true;
    default:
      return false;
  }
}

// OpenSSL calls this for each fault. Accepted deviations are ignored, other faults are noted, and
// verification goes on.
int OnFault(int ok, X509_STORE_CTX* ctx) {
  if (ok != 0) return 1;
  const auto* walk = static_cast<const Walk*>(X509_STORE_CTX_get_app_data(ctx));
  const int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
  const X509* at = X509_STORE_CTX_get_current_cert(ctx);
  const bool passes = (error == X509_V_ERR_UNABLE_TO_GET_CRL && !walk->require_crls) ||
                      (error == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION && depth == 0 && at != nullptr &&
                       OnlyKnownCritical(at));
  if (passes) return 1;
  if (IsUnrooted(error)) walk->report->rooted = false;
  walk->report->problems.emplace_back(
      CodeOf(error),
      fmt::format("{} (certificate {} of the chain)", X509_verify_cert_error_string(error), depth));
  return 1;
}

void Once(std::vector<StateError>& problems) {
  std::vector<StateError> unique;
  for (StateError& p : problems)
    if (std::none_of(unique.begin(), unique.end(), [&](const StateError& u) { return u.error == p.error; }))
      unique.push_back(std::move(p));
  problems = std::move(unique);
}

}  // namespace

X509Ptr CertificateOf(ByteView der) {
  const unsigned char* p = der.data();
  X509Ptr x(d2i_X509(nullptr, &p, static_cast<long>(der.size())));
  if (x && p != der.data() + der.size()) x.reset();
  return x;
}

std::string OidText(const ASN1_OBJECT* o) {
  char text[64];
  const int n = OBJ_obj2txt(text, sizeof(text), o, 1);
  return n > 0 && n < static_cast<int>(sizeof(text)) ? std::string(text) : "";
}

std::string Utf8(const ASN1_STRING* s) {
  unsigned char* raw = nullptr;
  const int n = ASN1_STRING_to_UTF8(&raw, s);
  if (n < 0) return "";
  // The text is shown to people later, so it must be printable and no longer than a line.
  std::string out = PrintableAscii(AsText(ByteView(raw, static_cast<std::size_t>(std::min(n, 64)))));
  OPENSSL_free(raw);
  return out;
}

void EachAlternativeName(const X509* x,
                         const std::function<void(const std::string& oid, std::string value)>& take) {
  const std::unique_ptr<GENERAL_NAMES, NamesDelete> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* n = sk_GENERAL_NAME_value(names.get(), i);
    for (int e = 0; n->type == GEN_DIRNAME && e < X509_NAME_entry_count(n->d.directoryName); ++e) {
      const X509_NAME_ENTRY* entry = X509_NAME_get_entry(n->d.directoryName, e);
      take(OidText(X509_NAME_ENTRY_get_object(entry)), Utf8(X509_NAME_ENTRY_get_data(entry)));
    }
  }
}

bool HasUsage(const X509* x, const char* oid) {
  const std::unique_ptr<EXTENDED_KEY_USAGE, UsageDelete> usages(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(x, NID_ext_key_usage, nullptr, nullptr)));
  for (int i = 0; usages && i < sk_ASN1_OBJECT_num(usages.get()); ++i)
    if (OidText(sk_ASN1_OBJECT_value(usages.get(), i)) == oid) return true;
  return false;
}

// A key that is marked id-RSAES-OAEP or id-RSASSA-PSS (RFC 4055) is an RSA key too.
EvpPkeyPtr KeyOf(const X509* x) {
  EvpPkeyPtr key(X509_get_pubkey(const_cast<X509*>(x)));
  if (key && EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA_PSS) return key;
  ASN1_OBJECT* algorithm = nullptr;
  const unsigned char* bits = nullptr;
  int size = 0;
  if (X509_PUBKEY_get0_param(&algorithm, &bits, &size, nullptr, X509_get_X509_PUBKEY(x)) != 1 ||
      (OBJ_obj2nid(algorithm) != NID_rsaesOaep && OBJ_obj2nid(algorithm) != NID_rsassaPss))
    return nullptr;
  return EvpPkeyPtr(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &bits, size));
}

Result<Bytes> TrimDer(ByteView nv) {
  // Some makers write padding before it too.
  const auto begin = std::find_if(nv.begin(), nv.end(), [](std::uint8_t b) { return b != 0 && b != 0xFF; });
  std::size_t at = begin == nv.end() ? 0 : static_cast<std::size_t>(begin - nv.begin());
  // TCG PC Client Specific Implementation Specification 1.21, section 7.4.4, kept by some makers of TPM 2.0:
  // u16be tag 1001, u8 kind 00 (a whole certificate), u16be size; then perhaps u16be tag 1002.
  constexpr std::array<std::uint8_t, 3> kStored = {0x10, 0x01, 0x00};
  constexpr std::array<std::uint8_t, 2> kFull = {0x10, 0x02};
  if (nv.size() - at >= 5 && Equal(nv.subspan(at, 3), kStored)) {
    const std::size_t size = static_cast<std::size_t>(nv[at + 3]) << 8 | nv[at + 4];
    at += 5;
    if (size > nv.size() - at) return Fail(Bad(at - 2, "the header tells of more bytes than there are"));
    if (!IsPadding(nv.subspan(at + size)))
      return Fail(Bad(at + size, "bytes after what the header tells of"));
    nv = nv.first(at + size);
    if (size >= 2 && Equal(nv.subspan(at, 2), kFull)) at += 2;
  }
  const ByteView rest = nv.subspan(at);
  ASSAY_ASSIGN(const std::size_t n, ElementSize(rest, at));
  if (!IsPadding(rest.subspan(n)))
    return Fail(Bad(at + n, "bytes after the certificate that are no padding"));
  return ToBytes(rest.first(n));
}

Result<std::vector<Bytes>> SplitDer(ByteView elements) {
  std::vector<Bytes> out;
  for (std::size_t at = 0; at < elements.size();) {
    const ByteView rest = elements.subspan(at);
    if (IsPadding(rest)) break;
    ASSAY_ASSIGN(const std::size_t n, ElementSize(rest, at));
    if (out.size() == kMaxLinks) return Fail(Bad(at, "too many certificates"));
    out.push_back(ToBytes(rest.first(n)));
    at += n;
  }
  return out;
}

std::string EkFacts::Vendor() const {
  if (!manufacturer.starts_with("id:")) return manufacturer;
  const Result<Bytes> letters = FromHex(std::string_view(manufacturer).substr(3));
  if (!letters || letters->size() != 4) return manufacturer;
  std::string out;
  for (const std::uint8_t c : *letters) {
    if (c == 0 || c == ' ') continue;
    if (!IsPrintableAscii(static_cast<char>(c))) return manufacturer;
    out += static_cast<char>(c);
  }
  return out.empty() ? manufacturer : out;
}

bool EkFacts::Software() const {
  // 00001014 is IBM's PCI number, which swtpm's authors use; IBM's real TPMs say 49424d00.
  return manufacturer == "id:00001014" || model == "swtpm";
}

struct EkTrust::Impl {
  std::vector<X509Ptr> roots, links;
  std::vector<CrlPtr> crls;
};
EkTrust::EkTrust() : impl_(std::make_unique<Impl>()) {}
EkTrust::~EkTrust() = default;
EkTrust::EkTrust(EkTrust&&) noexcept = default;
EkTrust& EkTrust::operator=(EkTrust&&) noexcept = default;
std::size_t EkTrust::roots() const { return impl_->roots.size(); }

Result<> EkTrust::AddCertificates(std::string_view text) {
  const auto add = [&](X509Ptr x) {
    const bool self = X509_NAME_cmp(X509_get_subject_name(x.get()), X509_get_issuer_name(x.get())) == 0;
    (self ? impl_->roots : impl_->links).push_back(std::move(x));
  };
  if (text.find("-----BEGIN") == std::string_view::npos) {
    X509Ptr x = CertificateOf(AsBytes(text));
    if (!x) return Fail(OpenSslError("not a certificate"));
    add(std::move(x));
    return {};
  }
  return EachPem(text, {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}, "certificate",
                 [&](std::string_view name, ByteView der) {
                   X509Ptr x = name == "TRUSTED CERTIFICATE" ? FromTrusted(der) : CertificateOf(der);
                   if (!x) return false;
                   add(std::move(x));
                   return true;
                 });
}

Result<> EkTrust::AddCrls(std::string_view text) {
  if (text.find("-----BEGIN") == std::string_view::npos) {
    CrlPtr crl = CrlFromDer(AsBytes(text));
    if (!crl) return Fail(OpenSslError("not a CRL"));
    impl_->crls.push_back(std::move(crl));
    return {};
  }
  return EachPem(text, {"X509 CRL"}, "CRL", [&](std::string_view, ByteView der) {
    CrlPtr crl = CrlFromDer(der);
    if (!crl) return false;
    impl_->crls.push_back(std::move(crl));
    return true;
  });
}

struct EkChecker {
  const EkTrust& trust;
  ChainReport& report;
  void Problem(ErrorCode error, std::string what) { report.problems.emplace_back(error, std::move(what)); }
  void Chain(X509* leaf, const std::vector<X509Ptr>& sent, std::int64_t now_s);
};

void EkChecker::Chain(X509* leaf, const std::vector<X509Ptr>& sent, std::int64_t now_s) {
  const std::unique_ptr<X509_STORE, StoreDelete> store(X509_STORE_new());
  const std::unique_ptr<STACK_OF(X509), StackDelete> links(sk_X509_new_null());
  const std::unique_ptr<X509_STORE_CTX, StoreCtxDelete> ctx(X509_STORE_CTX_new());
  if (!store || !links || !ctx) return Problem(EkError::kUntrustedChain, "no memory");
  for (const X509Ptr& root : trust.impl_->roots) X509_STORE_add_cert(store.get(), root.get());
  for (const CrlPtr& crl : trust.impl_->crls) X509_STORE_add_crl(store.get(), crl.get());
  for (const X509Ptr& link : trust.impl_->links) sk_X509_push(links.get(), link.get());
  for (const X509Ptr& link : sent) sk_X509_push(links.get(), link.get());
  if (X509_STORE_CTX_init(ctx.get(), store.get(), leaf, links.get()) != 1)
    return Problem(EkError::kUntrustedChain, OpenSslError("chain").Message());
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<std::time_t>(now_s));
  X509_VERIFY_PARAM_set_depth(param, kMaxDepth);
  if (!trust.impl_->crls.empty() || trust.require_crls_)
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  Walk walk{.require_crls = trust.require_crls_, .report = &report};
  X509_STORE_CTX_set_app_data(ctx.get(), &walk);
  X509_STORE_CTX_set_verify_cb(ctx.get(), OnFault);
  const std::size_t before = report.problems.size();
  if (X509_verify_cert(ctx.get()) != 1 && report.problems.size() == before)
    Problem(EkError::kUntrustedChain, X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx.get())));
  // The root itself is trusted without its signature. The signatures on all other certificates must be strong
  // enough.
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(ctx.get());
  for (int i = 0; chain != nullptr && i + 1 < sk_X509_num(chain); ++i) {
    int bits = 0;
    X509* x = sk_X509_value(chain, i);
    if (X509_get_signature_info(x, nullptr, nullptr, &bits, nullptr) != 1 || bits < kMinimalBits)
      Problem(EkError::kUntrustedChain,
              fmt::format("certificate {} of the chain is signed over a weak digest", i));
  }
}

ChainReport CheckChain(X509* leaf, ByteView chain, const EkTrust& trust, std::int64_t now_s) {
  ChainReport report;
  EkChecker check{.trust = trust, .report = report};
  std::vector<X509Ptr> sent;
  if (const Result<std::vector<Bytes>> parts = SplitDer(chain.first(std::min(chain.size(), kMaxEkChain)));
      parts)
    for (const Bytes& der : *parts)
      // An element that is no certificate is ignored.
      if (X509Ptr x = CertificateOf(der)) sent.push_back(std::move(x));
  check.Chain(leaf, sent, now_s);
  Once(report.problems);
  return report;
}

EkReport CheckEkCertificate(ByteView certificate, ByteView chain, const KeyPublic& ek, const EkTrust& trust,
                            std::int64_t now_s) {
  EkReport report;
  const auto problem = [&](ErrorCode error, std::string what) {
    report.problems.emplace_back(error, std::move(what));
  };
  const X509Ptr leaf = certificate.size() <= kMaxEkCertificate ? CertificateOf(certificate) : nullptr;
  if (!leaf) {
    problem(EkError::kCertificateMalformed,
            OpenSslError("the bytes given as the EK's certificate").Message());
    return report;
  }
  report.facts = ReadFacts(leaf.get());
  report.problems = CheckChain(leaf.get(), chain, trust, now_s).problems;
  if (!HasUsage(leaf.get(), kEkUsage) || X509_check_ca(leaf.get()) != 0)
    problem(EkError::kCertificateUsage, "the certificate is not one for an endorsement key (2.23.133.8.1)");
  const EvpPkeyPtr certified = KeyOf(leaf.get());
  const Result<PublicKey> shown = ek.Key();
  if (!certified || !shown || EVP_PKEY_eq(certified.get(), shown->get()) != 1)
    problem(EkError::kCertificateOtherKey, "the certificate is for another key than the EK");
  return report;
}

}  // namespace assay::tpm
