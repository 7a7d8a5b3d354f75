// The digest of what a descriptor holds, read in blocks.
//
//   ASSAY_ASSIGN(Digest d, HashFd(fd.get(), HashAlg::kSha256));
//   const auto in_time = [&]() -> Result<> { if (late) return Fail(Late()); return {}; };
//   std::uint64_t bytes = 0;
//   Result<Digest> r = HashFd(fd.get(), alg, {.before_block = in_time, .bytes = &bytes});   // gives up when
//   late
//
// Contract: from offset 0 to the end, whatever the descriptor's position, which stays. A file that grows
// meanwhile is read to its new end. EINTR is retried. Blocks are of 128 KiB: a caller that gives up waits for
// one of them at the most, or for as long as the file system takes for it.
#pragma once

#include <cstdint>
#include <functional>

#include "base/digest.h"
#include "base/result.h"

namespace assay {

struct HashFdOptions {
  std::function<Result<>()> before_block = {};  // an error ends the reading, and is the result
  std::uint64_t* bytes = nullptr;               // how many were hashed, also where it fails
};
Result<Digest> HashFd(int fd, HashAlg alg, const HashFdOptions& options = {});

}  // namespace assay
