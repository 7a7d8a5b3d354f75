// Lists of digests from anywhere: parsing never crashes, and what is taken is SHA-256.
#include "base/fuzzing.h"
#include "reference/digest_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto list = assay::reference::ParseDigestList({reinterpret_cast<const char*>(data), size});
  if (!list) return 0;
  for (const auto& file : list->files) assay::Require(file.digest.alg() == assay::HashAlg::kSha256);
  return 0;
}
