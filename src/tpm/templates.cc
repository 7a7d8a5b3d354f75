#include "tpm/templates.h"

namespace assay::tpm {
namespace {

// policyDigest extended by one command's arguments (part 3, sections 23.6 and 23.11).
Digest PolicyStep(const Digest& from, std::uint32_t command, ByteView arguments) {
  return Hash(HashAlg::kSha256, Writer().Put(from.view()).U32Be(command).Put(arguments).bytes());
}

// An ECDSA key on NIST P-256 with SHA-256.
void SignsByP256(TPMT_PUBLIC& p) {
  p.type = TPM2_ALG_ECC;
  TPMS_ECC_PARMS& e = p.parameters.eccDetail;
  e.symmetric.algorithm = TPM2_ALG_NULL;
  e.scheme.scheme = TPM2_ALG_ECDSA;
  e.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  e.curveID = TPM2_ECC_NIST_P256;
  e.kdf.scheme = TPM2_ALG_NULL;
}

}  // namespace

AkPolicy MakeAkPolicy() {
  const Digest zero = Digest::Filled(HashAlg::kSha256, 0);
  const auto branch = [&](std::uint32_t code) {
    return PolicyStep(zero, TPM2_CC_PolicyCommandCode, Writer().U32Be(code).bytes());
  };
  AkPolicy p{{branch(TPM2_CC_Quote), branch(TPM2_CC_ActivateCredential)}, {}};
  p.whole = PolicyStep(zero, TPM2_CC_PolicyOR,
                       Writer().Put(p.branches[0].view()).Put(p.branches[1].view()).bytes());
  return p;
}

TPM2B_PUBLIC EkTemplate(EkKind kind) {
  // PolicySecret(TPM_RH_ENDORSEMENT)
  constexpr std::array<std::uint8_t, 32> kPolicy = {
      0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24,
      0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA};
  TPM2B_PUBLIC t{};
  TPMT_PUBLIC& p = t.publicArea;
  p.nameAlg = TPM2_ALG_SHA256;
  p.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                       TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  Fill(p.authPolicy, kPolicy);
  const auto storage = [](TPMT_SYM_DEF_OBJECT& symmetric) {
    symmetric.algorithm = TPM2_ALG_AES;
    symmetric.keyBits.aes = 128;
    symmetric.mode.aes = TPM2_ALG_CFB;
  };
  if (kind == EkKind::kEccP256) {
    p.type = TPM2_ALG_ECC;
    TPMS_ECC_PARMS& e = p.parameters.eccDetail;
    storage(e.symmetric);
    e.scheme.scheme = TPM2_ALG_NULL;
    e.curveID = TPM2_ECC_NIST_P256;
    e.kdf.scheme = TPM2_ALG_NULL;
    p.unique.ecc.x.size = 32;  // zero bytes
    p.unique.ecc.y.size = 32;
  } else {
    p.type = TPM2_ALG_RSA;
    TPMS_RSA_PARMS& r = p.parameters.rsaDetail;
    storage(r.symmetric);
    r.scheme.scheme = TPM2_ALG_NULL;
    r.keyBits = 2048;
    p.unique.rsa.size = 256;  // zero bytes
  }
  return t;
}

TPM2B_PUBLIC AkTemplate(AkKind kind) {
  TPM2B_PUBLIC t{};
  TPMT_PUBLIC& p = t.publicArea;
  p.nameAlg = TPM2_ALG_SHA256;
  p.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                       TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                       TPMA_OBJECT_SIGN_ENCRYPT;
  Fill(p.authPolicy, MakeAkPolicy().whole.view());
  // The label makes this primary key different from those that other programs derive.
  constexpr std::string_view kLabel = "assay-ak-v1";
  if (kind == AkKind::kEccP256) {
    SignsByP256(p);
    Fill(p.unique.ecc.x, AsBytes(kLabel));
  } else {
    p.type = TPM2_ALG_RSA;
    TPMS_RSA_PARMS& r = p.parameters.rsaDetail;
    r.symmetric.algorithm = TPM2_ALG_NULL;
    r.scheme.scheme = TPM2_ALG_RSASSA;
    r.scheme.details.rsassa.hashAlg = TPM2_ALG_SHA256;
    r.keyBits = 2048;
    Fill(p.unique.rsa, AsBytes(kLabel));
  }
  return t;
}

TPM2B_PUBLIC RunKeyTemplate() {
  TPM2B_PUBLIC t{};
  TPMT_PUBLIC& p = t.publicArea;
  p.nameAlg = TPM2_ALG_SHA256;
  p.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                       TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT;
  SignsByP256(p);
  return t;
}

}  // namespace assay::tpm
