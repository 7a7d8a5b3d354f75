// Internal, for tests: a certificate authority that makes EK certificates, good ones and others.
//
//   // given: const KeyPublic& ek, EkTrust& trust
//   ASSAY_ASSIGN(PublicKey key, ek.Key());
//   const TestCa ca;
//   const Bytes der = ca.Issue(key.get(), {.model = "OTHER"});
//   ASSAY_TRY(trust.AddCertificates(ca.pem()));
//
// Contract: keys are P-256. A certificate deviates from a good one only in what Options says.
#pragma once

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <string>

#include "base/crypto.h"

namespace assay::tpm {

struct TestCertificate {
  std::int64_t from = 1'700'000'000, until = 2'000'000'000;  // seconds since 1970
  const char* usage = "2.23.133.8.1";
  bool ca = false;
  bool unknown_critical = false;  // an unknown extension, marked critical
  const char* model = "TEST";
  long serial = 1;
  const EVP_MD* digest = EVP_sha256();
  const char* name = "an EK";           // of the subject
  const char* device_serial = nullptr;  // the subject's serialNumber
  const char* policy = nullptr;         // certificatePolicies
};

// As the maker of a machine certifies its IAK, or its IDevID.
inline TestCertificate OfDevice(bool iak) {
  return {.usage = iak ? "2.23.133.8.3" : nullptr,
          .name = "Server 9",
          .device_serial = "4711",
          .policy = iak ? "2.23.133.11.1.3" : "2.23.133.11.1.2"};
}

class TestCa {
 public:
  using Options = TestCertificate;
  explicit TestCa(std::string name = "test root") : name_(std::move(name)) {
    X509* x = Begin(key_.get(), {.ca = true});
    Name(X509_get_subject_name(x), name_);
    Extend(x, NID_basic_constraints, "critical,CA:TRUE");
    Extend(x, NID_key_usage, "critical,keyCertSign,cRLSign");
    X509_sign(x, key_.get(), EVP_sha256());
    self_.reset(x);
  }
  // DER
  Bytes Issue(EVP_PKEY* subject, const Options& o = {}) const {
    const X509Ptr x(Begin(subject, o));
    Name(X509_get_subject_name(x.get()), o.name);
    if (o.device_serial != nullptr) Name(X509_get_subject_name(x.get()), o.device_serial, "serialNumber");
    if (o.policy != nullptr) {
      POLICYINFO* policy = POLICYINFO_new();
      policy->policyid = OBJ_txt2obj(o.policy, 1);
      CERTIFICATEPOLICIES* policies = sk_POLICYINFO_new_null();
      sk_POLICYINFO_push(policies, policy);
      X509_add1_ext_i2d(x.get(), NID_certificate_policies, policies, 0, 0);
      CERTIFICATEPOLICIES_free(policies);
    }
    Extend(x.get(), NID_basic_constraints, o.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (o.usage != nullptr) Extend(x.get(), NID_ext_key_usage, o.usage);
    if (o.unknown_critical) {
      ASN1_OCTET_STRING* data = ASN1_OCTET_STRING_new();
      ASN1_OCTET_STRING_set(data, reinterpret_cast<const unsigned char*>("\5\0"), 2);
      ASN1_OBJECT* oid = OBJ_txt2obj("1.2.3.4.5", 1);
      X509_EXTENSION* e = X509_EXTENSION_create_by_OBJ(nullptr, oid, 1, data);
      X509_add_ext(x.get(), e, -1);
      X509_EXTENSION_free(e);
      ASN1_OBJECT_free(oid);
      ASN1_OCTET_STRING_free(data);
    }
    GENERAL_NAME* general = GENERAL_NAME_new();
    X509_NAME* tpm = X509_NAME_new();
    for (const auto& [oid, value] :
         {std::pair{"2.23.133.2.1", "id:54455354"}, {"2.23.133.2.2", o.model}, {"2.23.133.2.3", "id:1"}}) {
      ASN1_OBJECT* object = OBJ_txt2obj(oid, 1);
      X509_NAME_add_entry_by_OBJ(tpm, object, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value),
                                 -1, -1, 0);
      ASN1_OBJECT_free(object);
    }
    GENERAL_NAME_set0_value(general, GEN_DIRNAME, tpm);
    GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
    sk_GENERAL_NAME_push(names, general);
    X509_add1_ext_i2d(x.get(), NID_subject_alt_name, names, 1, 0);  // critical, as makers do
    GENERAL_NAMES_free(names);
    X509_sign(x.get(), key_.get(), o.digest);
    return Der(x.get());
  }
  Bytes der() const { return Der(self_.get()); }  // its own certificate
  // A CRL that revokes this serial.
  std::string Crl(long serial, std::int64_t from = 1'700'000'000, std::int64_t until = 2'000'000'000) const {
    X509_CRL* crl = X509_CRL_new();
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(self_.get()));
    ASN1_TIME* time = ASN1_TIME_set(nullptr, from);
    X509_CRL_set1_lastUpdate(crl, time);
    X509_REVOKED* revoked = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, time);
    X509_CRL_add0_revoked(crl, revoked);
    ASN1_TIME_set(time, until);
    X509_CRL_set1_nextUpdate(crl, time);
    X509_CRL_sign(crl, key_.get(), EVP_sha256());
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(bio.get(), crl);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(time);
    X509_CRL_free(crl);
    return Text(bio.get());
  }
  std::string pem() const {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), self_.get());
    return Text(bio.get());
  }

 private:
  static Bytes Der(const X509* x) {
    Bytes der(static_cast<std::size_t>(i2d_X509(x, nullptr)));
    unsigned char* p = der.data();
    i2d_X509(x, &p);
    return der;
  }
  static std::string Text(BIO* bio) {
    char* data = nullptr;
    const long n = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(n)};
  }
  static void Name(X509_NAME* name, const std::string& text, const char* field = "CN") {
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text.data()),
                               static_cast<int>(text.size()), -1, 0);
  }
  static void Extend(X509* x, int nid, const char* value) {
    X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
  }
  X509* Begin(EVP_PKEY* subject, const Options& o) const {
    X509* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), o.serial);
    ASN1_TIME_set(X509_getm_notBefore(x), o.from);
    ASN1_TIME_set(X509_getm_notAfter(x), o.until);
    X509_set_pubkey(x, subject);
    Name(X509_get_issuer_name(x), name_);
    return x;
  }

  std::string name_;
  EvpPkeyPtr key_{EVP_EC_gen("P-256")};
  X509Ptr self_;
};

}  // namespace assay::tpm
