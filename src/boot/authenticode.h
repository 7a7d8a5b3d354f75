// Authenticode signatures of images: the digest that the signer wrote, and whose signature it is.
//
//   ASSAY_ASSIGN(Digest signed_digest, SignedDigest(image.signatures[0]));
//   if (signed_digest == image.Authenticode(signed_digest.alg()) && IsSignedBy(signature, db_entry.data)) ...
//
// Contract: DER from files is untrusted; what OpenSSL does not take is LibError, a structure that is no
// Authenticode signature StateError "authenticode.malformed". IsSignedBy answers as UEFI firmware does: the
// certificate is the trust anchor itself, validity dates and usages are not looked at. Only SHA-256, SHA-384
// and SHA-512 digests are taken. Source: Windows Authenticode Portable Executable Signature Format (2008),
// "SpcIndirectDataContent"; UEFI 2.10, section 32.5.1; EDK2 CryptoPkg CryptAuthenticode.c.
#pragma once

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace assay::boot {

// What the signature says that the image's digest is. It holds only once IsSignedBy() did.
Result<Digest> SignedDigest(ByteView pkcs7);
// Does a chain lead from the signature to this X.509 certificate (DER)? Nothing is said of the image.
bool IsSignedBy(ByteView pkcs7, ByteView certificate);

}  // namespace assay::boot
