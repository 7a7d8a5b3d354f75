// Internal: what the checks of EK certificates and of device certificates share.
//
//   // given: ByteView der, ByteView chain, const EkTrust& trust, std::int64_t now_s
//   if (const X509Ptr x = CertificateOf(der); x && !HasUsage(x.get(), "2.23.133.8.1"))
//     log::Info("{} problems", CheckChain(x.get(), chain, trust, now_s).problems.size());
//
// Contract: the bytes are untrusted. Texts are printable ASCII of at most 64 characters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "tpm/ek_certificate.h"

namespace assay::tpm {

X509Ptr CertificateOf(ByteView der);            // null: not one, or bytes behind it
EvpPkeyPtr KeyOf(const X509* x);                // null: none that is known
bool HasUsage(const X509* x, const char* oid);  // extendedKeyUsage
std::string OidText(const ASN1_OBJECT* o);
std::string Utf8(const ASN1_STRING* s);
// Calls `take` for each attribute of the directory names in the subjectAltName.
void EachAlternativeName(const X509* x,
                         const std::function<void(const std::string& oid, std::string value)>& take);

struct ChainReport {
  std::vector<StateError> problems;  // EkError
  bool rooted = true;                // it leads to a root that is trusted, if perhaps with problems
};
ChainReport CheckChain(X509* leaf, ByteView chain, const EkTrust& trust, std::int64_t now_s);

}  // namespace assay::tpm
