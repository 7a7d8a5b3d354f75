// Authenticode signatures of images: the digest that was signed, and the certificate that verifies the
// signature.
//
//   // given: const PeImage& image, ByteView db_certificate
//   #include "boot/pe.h"
//   const ByteView signature = image.signatures.at(0);
//   ASSAY_ASSIGN(Digest digest, SignedDigest(signature));
//   const bool good = digest == image.Authenticode(digest.alg()) && IsSignedBy(signature, db_certificate);
//
// Contract: DER from files is untrusted. Bytes that OpenSSL can't parse are a LibError; a structure that is
// no Authenticode signature is StateError "authenticode.malformed". IsSignedBy() decides as UEFI firmware
// does: the certificate is itself the trust anchor, and validity dates and key usages are ignored. Only
// SHA-256, SHA-384 and SHA-512 digests are accepted. Source: Windows Authenticode Portable Executable
// Signature Format (2008), "SpcIndirectDataContent"; UEFI 2.10, section 32.5.1; EDK2 CryptoPkg
// CryptAuthenticode.c.
#pragma once

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace assay::boot {

// The image digest inside the signature. Trust it only after IsSignedBy() returned true for the same
// signature.
Result<Digest> SignedDigest(ByteView pkcs7);
// Whether a chain leads from the signature to this X.509 certificate (DER). The image is not looked at.
bool IsSignedBy(ByteView pkcs7, ByteView certificate);

}  // namespace assay::boot
