#include "base/hash_fd.h"

#include <unistd.h>

#include <cerrno>
#include <memory>

namespace assay {
namespace {

constexpr std::size_t kBlock = 128 << 10;

}  // namespace

Result<Digest> HashFd(int fd, HashAlg alg, const HashFdOptions& options) {
  // Each thread keeps its block, because the kernel would have to provide and zero the pages of a new one
  // each time.
  thread_local const std::unique_ptr<std::uint8_t[]> block(new std::uint8_t[kBlock]);
  std::uint64_t unused = 0;
  std::uint64_t& at = options.bytes != nullptr ? *options.bytes : unused;
  at = 0;
  Hasher hasher(alg);
  while (true) {
    if (options.before_block) ASSAY_TRY(options.before_block());
    const ssize_t n = ::pread(fd, block.get(), kBlock, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(OsError("pread", "", errno));
    if (n == 0) return hasher.Finish();
    hasher.Update(ByteView(block.get(), static_cast<std::size_t>(n)));
    at += static_cast<std::uint64_t>(n);
  }
}

}  // namespace assay
