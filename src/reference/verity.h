// Internal: the digest that fs-verity gives a file, calculated without the kernel.
//
//   // given: ByteView first, ByteView second
//   VerityHasher hasher;
//   const Digest digest = hasher.Update(first).Update(second).Finish();
//
// Contract: that of SHA-256, blocks of 4096 bytes and no salt, which is what `fsverity enable` chooses. The
// digest is the SHA-256 of the descriptor, which has the file's size and the root of the tree of hashes over
// its blocks; a signature in the kernel's descriptor is no part of it. Memory is a block for each level of
// the tree, of which the largest file has eight. Source: Documentation/filesystems/fsverity.rst, "fs-verity
// digest", "Merkle tree".
#pragma once

#include <vector>

#include "base/digest.h"

namespace assay::reference {

class VerityHasher {
 public:
  VerityHasher() : hasher_(HashAlg::kSha256) {}
  VerityHasher& Update(ByteView data);
  Digest Finish();  // starts anew

 private:
  Digest HashBlock(Bytes& block);
  void PutHash(std::size_t level, const Digest& hash);

  Hasher hasher_;
  std::uint64_t size_ = 0;
  Bytes block_;                // of the file, not full
  std::vector<Bytes> levels_;  // of the tree, from the lowest: hashes that fill no block yet
};

}  // namespace assay::reference
