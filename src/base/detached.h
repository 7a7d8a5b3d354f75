// A signature beside a file: FILE.sig holds, in base64, an ES256 signature over the file's SHA-256.
//
//   // given: const std::string& path, ByteView content, const PrivateKey& key
//   ASSAY_TRY(WriteFileAtomic(path, content, 0644));
//   ASSAY_TRY(SignBeside(path, content, key));
//   ASSAY_ASSIGN(const Bytes signature, SignatureBeside(path));       // read, not yet verified
//   ASSAY_TRY(VerifySignature(content, signature, key.Public()));
//
// Contract: the caller passes the content that it has read, so that exactly this content is verified.
#pragma once

#include <string>

#include "base/crypto.h"

namespace assay {

Result<> SignBeside(const std::string& path, ByteView content, const PrivateKey& key);
Result<Bytes> SignatureBeside(const std::string& path);
Result<> VerifySignature(ByteView content, ByteView signature, const PublicKey& key);

}  // namespace assay
