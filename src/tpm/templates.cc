#include "tpm/templates.h"

#include "tpm/device_policy.h"
#include "tpm/ek_policy.h"

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

bool IsHighRange(EkKind kind) { return kind != EkKind::kEccP256 && kind != EkKind::kRsa2048; }

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
  const bool large = kind == EkKind::kEccP384 || kind == EkKind::kRsa3072;
  const bool high = IsHighRange(kind);
  TPM2B_PUBLIC t{};
  TPMT_PUBLIC& p = t.publicArea;
  p.nameAlg = large ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;
  p.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                       TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  if (high) p.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
  if (!high)
    Fill(p.authPolicy, kEkPolicyLow);
  else if (large)
    Fill(p.authPolicy, kEkPolicyHighSha384);
  else
    Fill(p.authPolicy, kEkPolicyHighSha256);
  const auto storage = [&](TPMT_SYM_DEF_OBJECT& symmetric) {
    symmetric.algorithm = TPM2_ALG_AES;
    symmetric.keyBits.aes = large ? 256 : 128;
    symmetric.mode.aes = TPM2_ALG_CFB;
  };
  // In the low range the unique field is of zero bytes, in the high range it is empty.
  if (kind == EkKind::kEccP256 || kind == EkKind::kEccP256High || kind == EkKind::kEccP384) {
    p.type = TPM2_ALG_ECC;
    TPMS_ECC_PARMS& e = p.parameters.eccDetail;
    storage(e.symmetric);
    e.scheme.scheme = TPM2_ALG_NULL;
    e.curveID = large ? TPM2_ECC_NIST_P384 : TPM2_ECC_NIST_P256;
    e.kdf.scheme = TPM2_ALG_NULL;
    p.unique.ecc.x.size = p.unique.ecc.y.size = high ? 0 : 32;
  } else {
    p.type = TPM2_ALG_RSA;
    TPMS_RSA_PARMS& r = p.parameters.rsaDetail;
    storage(r.symmetric);
    r.scheme.scheme = TPM2_ALG_NULL;
    r.keyBits = large ? 3072 : 2048;
    p.unique.rsa.size = high ? 0 : 256;
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

std::optional<TPM2B_PUBLIC> DeviceTemplate(DeviceKey which, KeyPublic::Kind kind) {
  const bool iak = which == DeviceKey::kIak, large = kind == KeyPublic::Kind::kEccP384;
  TPM2B_PUBLIC t{};
  TPMT_PUBLIC& p = t.publicArea;
  p.nameAlg = large ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;
  p.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                       TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_SIGN_ENCRYPT;
  if (iak) p.objectAttributes |= TPMA_OBJECT_RESTRICTED;
  if (large)
    Fill(p.authPolicy, iak ? kIakPolicySha384 : kIdevidPolicySha384);
  else
    Fill(p.authPolicy, iak ? kIakPolicySha256 : kIdevidPolicySha256);
  const ByteView label = AsBytes(iak ? "IAK" : "IDEVID");
  switch (kind) {
    case KeyPublic::Kind::kEccP256:
    case KeyPublic::Kind::kEccP384: {
      p.type = TPM2_ALG_ECC;
      TPMS_ECC_PARMS& e = p.parameters.eccDetail;
      e.symmetric.algorithm = TPM2_ALG_NULL;
      e.scheme.scheme = iak ? TPM2_ALG_ECDSA : TPM2_ALG_NULL;
      if (iak) e.scheme.details.ecdsa.hashAlg = p.nameAlg;
      e.curveID = large ? TPM2_ECC_NIST_P384 : TPM2_ECC_NIST_P256;
      e.kdf.scheme = TPM2_ALG_NULL;
      Fill(p.unique.ecc.x, label);
      Fill(p.unique.ecc.y, label);
      return t;
    }
    case KeyPublic::Kind::kRsa2048: {
      p.type = TPM2_ALG_RSA;
      TPMS_RSA_PARMS& r = p.parameters.rsaDetail;
      r.symmetric.algorithm = TPM2_ALG_NULL;
      r.scheme.scheme = iak ? TPM2_ALG_RSAPSS : TPM2_ALG_NULL;
      if (iak) r.scheme.details.rsapss.hashAlg = p.nameAlg;
      r.keyBits = 2048;
      Fill(p.unique.rsa, label);
      return t;
    }
    default:
      return std::nullopt;
  }
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
