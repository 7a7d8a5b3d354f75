#include "evidence/enrol.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/crypto.h"
#include "evidence/errors.h"
#include "evidence/message.h"

namespace assay::evidence {
namespace {

void PutSized(Writer& w, ByteView bytes) { w.U16Be(static_cast<std::uint16_t>(bytes.size())).Put(bytes); }

}  // namespace

Result<Asked> AskToActivate(const Identity& identity) {
  Asked asked;
  ASSAY_ASSIGN(const tpm::KeyPublic ak, tpm::ParsePublic(identity.ak_public));
  ASSAY_ASSIGN(const tpm::KeyPublic ek, tpm::ParsePublic(identity.ek_public));
  asked.ak_name = ak.name;
  asked.ek_name = ek.name;
  ASSAY_ASSIGN(asked.message.nonce, Nonce::Random());
  ASSAY_ASSIGN(asked.secret, RandomBytes(tpm::kCredentialSecret));
  ASSAY_ASSIGN(tpm::Credential credential, tpm::MakeCredential(ek, ak.name, asked.secret));
  asked.message.credential = std::move(credential.blob);
  asked.message.secret = std::move(credential.secret);
  asked.message.device = !identity.iak_certificate.empty() || !identity.idevid_certificate.empty();
  return asked;
}

Bytes EnrolProof(ByteView secret, const Nonce& nonce, const Binding& binding, ByteView ak_name,
                 ByteView ek_name) {
  Writer w;
  w.Put("assay-enrol-v1").U8(0).Put(nonce.view());
  PutSized(w, AsBytes(binding.type));
  PutSized(w, binding.value);
  PutSized(w, ak_name);
  PutSized(w, ek_name);
  Bytes proof(DigestSize(HashAlg::kSha256));
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), w.bytes().data(), w.bytes().size(),
       proof.data(), nullptr);
  return proof;
}

Bytes DeviceQualifying(const Nonce& nonce, const Binding& binding) {
  Writer w;
  w.Put("assay-device-v1").U8(0).Put(nonce.view());
  PutSized(w, AsBytes(binding.type));
  PutSized(w, binding.value);
  return ToBytes(Hash(HashAlg::kSha256, w.bytes()).view());
}

Result<> CheckProof(const Asked& asked, const Binding& binding, ByteView proof) {
  const Bytes wanted = EnrolProof(asked.secret, asked.message.nonce, binding, asked.ak_name, asked.ek_name);
  if (proof.size() != wanted.size() || CRYPTO_memcmp(proof.data(), wanted.data(), wanted.size()) != 0)
    return Fail(StateError(EnrolError::kNotProven,
                           "the proof is not by the TPM with this EK, for this AK, over this connection"));
  return {};
}

}  // namespace assay::evidence
