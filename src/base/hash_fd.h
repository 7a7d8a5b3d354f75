// The digest of a file's content, read in blocks through a descriptor.
//
//   // given: int fd, const std::function<Result<>()>& in_time
//   ASSAY_ASSIGN(Digest digest, HashFd(fd, HashAlg::kSha256));
//   std::uint64_t bytes = 0;
//   const auto late = HashFd(fd, HashAlg::kSha256, {.before_block = in_time, .bytes = &bytes});
//   if (!late) return Fail(late.error());
//
// Contract: hashes from offset 0 to the end, whatever the descriptor's position is, and does not change it. A
// file that grows meanwhile is read to its new end. EINTR is retried. Blocks have 128 KiB: a caller that
// gives up waits for at most one of them, or for as long as the file system takes for it.
#pragma once

#include <cstdint>
#include <functional>

#include "base/digest.h"
#include "base/result.h"

namespace assay {

struct HashFdOptions {
  std::function<Result<>()> before_block = {};  // an error ends the reading, and is the result
  std::uint64_t* bytes = nullptr;               // the number of bytes hashed, also after an error
};
Result<Digest> HashFd(int fd, HashAlg alg, const HashFdOptions& options = {});

}  // namespace assay
