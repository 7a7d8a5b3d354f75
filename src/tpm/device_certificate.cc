#include "tpm/device_certificate.h"

#include <fmt/core.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "tpm/certificate.h"
#include "tpm/errors.h"

namespace assay::tpm {
namespace {

constexpr const char* kAkUsage = "2.23.133.8.3";              // tcg-kp-AIKCertificate
constexpr const char* kRestrictedPolicy = "2.23.133.11.1.3";  // tcg-cap-verifiedTPMRestricted
constexpr std::size_t kMaxSubject = 256;

struct PoliciesDelete {
  void operator()(CERTIFICATEPOLICIES* p) const { CERTIFICATEPOLICIES_free(p); }
};

bool HasPolicy(const X509* x, const char* oid) {
  const std::unique_ptr<CERTIFICATEPOLICIES, PoliciesDelete> policies(
      static_cast<CERTIFICATEPOLICIES*>(X509_get_ext_d2i(x, NID_certificate_policies, nullptr, nullptr)));
  for (int i = 0; policies && i < sk_POLICYINFO_num(policies.get()); ++i)
    if (OidText(sk_POLICYINFO_value(policies.get(), i)->policyid) == oid) return true;
  return false;
}

std::string Subject(const X509* x) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  // The parts stand in the certificate's order; control characters and quotes are escaped.
  if (!bio || X509_NAME_print_ex(bio.get(), X509_get_subject_name(x), 0,
                                 XN_FLAG_SEP_COMMA_PLUS | ASN1_STRFLGS_RFC2253 | XN_FLAG_FN_SN) < 0)
    return "";
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio.get(), &data);
  return PrintableAscii(std::string_view(data, static_cast<std::size_t>(n)).substr(0, kMaxSubject));
}

std::string SubjectEntry(const X509* x, int nid) {
  const X509_NAME* name = X509_get_subject_name(x);
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  return at < 0 ? "" : Utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

KeyPublic::Kind KindOf(EVP_PKEY* key) {
  if (key == nullptr) return KeyPublic::Kind::kOther;
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
    const int bits = EVP_PKEY_get_bits(key);
    return bits == 2048   ? KeyPublic::Kind::kRsa2048
           : bits == 3072 ? KeyPublic::Kind::kRsa3072
                          : KeyPublic::Kind::kOther;
  }
  char group[32] = {};
  if (EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr) != 1) return KeyPublic::Kind::kOther;
  const std::string_view curve = group;
  return curve == "prime256v1"  ? KeyPublic::Kind::kEccP256
         : curve == "secp384r1" ? KeyPublic::Kind::kEccP384
                                : KeyPublic::Kind::kOther;
}

DeviceFacts FactsOf(X509* x) {
  DeviceFacts facts{.subject = Subject(x),
                    .model = "",
                    .serial = SubjectEntry(x, NID_serialNumber),
                    .restricted = HasUsage(x, kAkUsage) || HasPolicy(x, kRestrictedPolicy),
                    .ca = X509_check_ca(x) != 0,
                    .key = KindOf(KeyOf(x).get())};
  EachAlternativeName(x, [&](const std::string& oid, std::string value) {
    if (oid == "2.23.133.5.1.4")
      facts.model = std::move(value);
    else if (oid == "2.23.133.5.1.6" && facts.serial.empty())
      facts.serial = std::move(value);
  });
  if (facts.model.empty()) facts.model = SubjectEntry(x, NID_commonName);
  return facts;
}

X509Ptr Bounded(ByteView der) { return der.size() <= kMaxEkCertificate ? CertificateOf(der) : nullptr; }

}  // namespace

Result<DeviceFacts> ReadDeviceCertificate(ByteView certificate) {
  const X509Ptr x = Bounded(certificate);
  if (!x) return Fail(ParseError("device-certificate", 0, OpenSslError("not a certificate").Message()));
  return FactsOf(x.get());
}

bool IsForKey(ByteView certificate, const KeyPublic& key) {
  const X509Ptr x = Bounded(certificate);
  const EvpPkeyPtr certified = x ? KeyOf(x.get()) : nullptr;
  const Result<PublicKey> shown = key.Key();
  return certified && shown && EVP_PKEY_eq(certified.get(), shown->get()) == 1;
}

DeviceReport CheckDeviceCertificate(ByteView certificate, ByteView chain, const EkTrust& trust,
                                    std::int64_t now_s) {
  DeviceReport report;
  const auto refuse = [&](std::string why) {
    report.problems.push_back(StateError(DeviceError::kCertificateRefused, std::move(why)));
  };
  const X509Ptr x = Bounded(certificate);
  if (!x) {
    refuse(OpenSslError("it can't be read").Message());
    return report;
  }
  report.facts = FactsOf(x.get());
  const ChainReport walk = CheckChain(x.get(), chain, trust, now_s);
  if (!walk.rooted) {
    report.problems.push_back(StateError(DeviceError::kNotVouched, "it leads to none of the roots"));
    return report;
  }
  for (const StateError& p : walk.problems) refuse(p.what);
  if (report.facts.ca || (X509_get_key_usage(x.get()) & KU_DIGITAL_SIGNATURE) == 0)
    refuse("it is not for a key that signs for a device");
  return report;
}

Result<> CheckDeviceProof(ByteView certificate, ByteView attest, ByteView signature, ByteView ak_name,
                          ByteView qualifying) {
  const auto wrong = [](std::string why) {
    return Fail(StateError(DeviceError::kProofWrong, std::move(why)));
  };
  const X509Ptr x = Bounded(certificate);
  EvpPkeyPtr key = x ? KeyOf(x.get()) : nullptr;
  if (!key) return wrong("the certificate has no key that is known");
  if (const Result<> by = VerifyAttestSignature(PublicKey(std::move(key)), attest, signature); !by)
    return wrong("it is not signed by the certificate's key: " + by.error().Message());
  const Result<Creation> creation = ParseCreation(attest);
  if (!creation) return wrong(creation.error().Message());
  if (!Equal(creation->extra_data, qualifying)) return wrong("it is for another nonce or connection");
  if (!Equal(creation->object_name, ak_name)) return wrong("it is about another key than the AK");
  return {};
}

}  // namespace assay::tpm
