#include "reference/verity.h"

#include <algorithm>

namespace assay::reference {
namespace {

constexpr std::size_t kBlockSize = 4096, kLogBlockSize = 12;
constexpr std::uint8_t kVersion = 1, kSha256 = 1;  // of struct fsverity_descriptor
constexpr std::size_t kRootSize = 64, kSaltSize = 32, kReserved = 144;

}  // namespace

// A block that is not full counts as filled with zeros.
Digest VerityHasher::HashBlock(Bytes& block) {
  block.resize(kBlockSize, 0);
  const Digest hash = hasher_.Update(block).Finish();
  block.clear();
  return hash;
}

// A full block of hashes is hashed when the next hash comes, because the last block of the highest level
// has no level above it.
void VerityHasher::PutHash(std::size_t level, const Digest& hash) {
  if (level == levels_.size()) levels_.emplace_back();
  if (levels_[level].size() == kBlockSize) {
    const Digest above = HashBlock(levels_[level]);
    PutHash(level + 1, above);
  }
  Bytes& to = levels_[level];
  to.insert(to.end(), hash.view().begin(), hash.view().end());
}

VerityHasher& VerityHasher::Update(ByteView data) {
  size_ += data.size();
  while (!data.empty()) {
    if (block_.size() == kBlockSize) PutHash(0, HashBlock(block_));
    const ByteView part = data.first(std::min(data.size(), kBlockSize - block_.size()));
    block_.insert(block_.end(), part.begin(), part.end());
    data = data.subspan(part.size());
  }
  return *this;
}

Digest VerityHasher::Finish() {
  Digest root = Digest::Filled(HashAlg::kSha256, 0);  // of an empty file
  if (size_ > 0) {
    root = HashBlock(block_);
    for (std::size_t level = 0; level < levels_.size(); ++level) {
      PutHash(level, root);
      root = HashBlock(levels_[level]);
    }
  }
  Writer descriptor;
  descriptor.U8(kVersion).U8(kSha256).U8(kLogBlockSize).U8(0).U32Le(0).U64Le(size_);
  descriptor.Put(root.view()).Put(Bytes(kRootSize - root.size() + kSaltSize + kReserved));
  size_ = 0;
  levels_.clear();
  return Hash(HashAlg::kSha256, descriptor.bytes());
}

}  // namespace assay::reference
