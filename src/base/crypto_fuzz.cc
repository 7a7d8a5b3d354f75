// Public keys and certificates in PEM: what is read is written as one that reads the same.
#include "base/crypto.h"
#include "base/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  const std::string_view text = AsText({data, size});
  if (const auto key = PublicKey::FromPem(text)) {
    const std::string pem = key->Pem();
    const auto again = PublicKey::FromPem(pem);
    Require(again && again->Pem() == pem);
    Require(!key->VerifyEs256(AsBytes("m"), Bytes(64, 1)));
  }
  if (const auto certificate = CertificateFromPem(text)) {
    (void)CertificateFingerprint(certificate->get());
    (void)CertificateCommonName(certificate->get());
    (void)CertificateValidity(certificate->get());
  }
  return 0;
}
