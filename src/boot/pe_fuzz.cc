// Parses any bytes as a PE image and as a unified kernel image. Two things must hold: the sections follow
// each other after the headers; the Authenticode digest is that of a second, independent walk over the file,
// and does not depend on CheckSum or on the signatures.
#include <algorithm>

#include "boot/authenticode.h"
#include "boot/fuzzing.h"
#include "boot/unified.h"

namespace {

using namespace assay;
using namespace assay::boot;

// Hashes by the steps of the specification: the headers without the two holes, the sections in file order,
// and the bytes after them.
Digest BySteps(const PeImage& image) {
  const ByteView f = image.file;
  const std::size_t optional_at = U32(f, 0x3C) + 24;
  const bool plus = f[optional_at] == 0x0B && f[optional_at + 1] == 0x02;
  const std::size_t directories = optional_at + (plus ? 112 : 96);
  const std::uint32_t headers = U32(f, optional_at + 60);
  const bool has_entry = U32(f, directories - 4) > 4;
  Hasher hasher(HashAlg::kSha256);
  for (std::size_t i = 0; i < headers; ++i) {
    if (i >= optional_at + 64 && i < optional_at + 68) continue;
    if (has_entry && i >= directories + 32 && i < directories + 40) continue;
    hasher.Update(f.subspan(i, 1));
  }
  std::vector<ByteView> raws;
  for (const PeSection& s : image.sections) {
    if (!s.raw.empty()) raws.push_back(s.raw);
  }
  std::sort(raws.begin(), raws.end(), [](ByteView a, ByteView b) { return a.data() < b.data(); });
  std::size_t sum = headers;
  for (ByteView raw : raws) {
    Require(raw.data() == f.data() + sum);
    hasher.Update(raw);
    sum += raw.size();
  }
  const std::size_t certificates = has_entry ? U32(f, directories + 36) : 0;
  hasher.Update(f.subspan(sum, f.size() - certificates - sum));
  return hasher.Finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const ByteView data(bytes, size);
  (void)SignedDigest(data);
  const auto image = ParsePe(data);
  if (!image) {
    const auto* error = image.error().As<ParseError>();
    Require(error != nullptr && error->offset <= size);
    return 0;
  }
  Require(LooksLikePe(data));
  const Digest digest = image->Authenticode(HashAlg::kSha256);
  Require(digest == BySteps(*image));
  for (ByteView signature : image->signatures) {
    (void)SignedDigest(signature);
    (void)IsSignedBy(signature, signature);
  }
  // With another signature and another checksum the digest must be the same.
  if (size < (std::size_t{1} << 16)) {
    Bytes other = ToBytes(data);
    other[image->checksum_at] ^= 0xFF;
    for (std::size_t i = image->certificates_at + 8; i < other.size(); ++i) other[i] ^= 0xFF;
    const auto again = ParsePe(other);
    if (again) Require(again->Authenticode(HashAlg::kSha256) == digest);
  }
  if (const auto uki = ReadUnifiedKernel(*image)) {
    Require(uki->kernel != nullptr && image->Find(".linux") == uki->kernel);
    for (const PeSection* s : uki->sections)
      Require(!s->content.empty() && s->content.size() == s->virtual_size);
    Require(StubVersion(*uki).size() <= uki->stub.size());
  }
  return 0;
}
