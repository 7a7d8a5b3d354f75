#include "base/detached.h"

#include "base/fd.h"

namespace assay {
namespace {

constexpr std::size_t kMaxSignature = 4096;  // bytes of the file

}  // namespace

Result<> SignBeside(const std::string& path, ByteView content, const PrivateKey& key) {
  ASSAY_ASSIGN(const Bytes signature, key.SignEs256(Hash(HashAlg::kSha256, content).view()));
  return WriteFileAtomic(path + ".sig", AsBytes(Base64(signature) + "\n"), 0644);
}

Result<Bytes> SignatureBeside(const std::string& path) {
  ASSAY_ASSIGN(const Bytes text, ReadFile(path + ".sig", kMaxSignature));
  std::string_view line = AsText(text);
  while (line.ends_with('\n')) line.remove_suffix(1);
  return FromBase64(line);
}

Result<> VerifySignature(ByteView content, ByteView signature, const PublicKey& key) {
  return key.VerifyEs256(Hash(HashAlg::kSha256, content).view(), signature);
}

}  // namespace assay
