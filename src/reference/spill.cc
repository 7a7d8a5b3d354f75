#include "reference/spill.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

namespace assay::reference {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;

}  // namespace

Result<Spill> Spill::Make(const std::string& folder) {
  Spill spill;
  if (folder.empty()) return spill;
  std::string name = folder + "/.assay-spill.XXXXXX";
  spill.fd_.Reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!spill.fd_) return Fail(OsError("mkostemp", name, errno));
  if (::unlink(name.c_str()) != 0) return Fail(OsError("unlink", name, errno));
  return spill;
}

Result<> Spill::Put(ByteView bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return buffer_.size() < kBuffer || !fd_ ? Result<>() : Flush();
}

Result<> Spill::Flush() {
  if (failed_) return Fail(*failed_);
  if (!fd_ || buffer_.empty()) return {};
  if (Result<> written = WriteAll(fd_.get(), buffer_); !written) {
    failed_ = written.error();
    return written;
  }
  written_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<ByteView> SpillReader::Take(std::size_t size) {
  if (!spill_->fd_) {
    const ByteView all = spill_->buffer_;
    if (size > to_ - at_) return Fail(ParseError("spill", at_, "truncated"));
    at_ += size;
    return all.subspan(at_ - size, size);
  }
  if (size > buffer_.size() - position_) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(position_));
    position_ = 0;
    const std::size_t kept = buffer_.size();
    const std::size_t more = std::min<std::uint64_t>(std::max(block_, size) - kept, to_ - at_);
    if (kept + more < size) return Fail(ParseError("spill", at_, "truncated"));
    buffer_.resize(kept + more);
    ASSAY_TRY(PReadExact(spill_->fd_.get(), buffer_.data() + kept, more, static_cast<off_t>(at_)));
    at_ += more;
  }
  position_ += size;
  return ByteView(buffer_).subspan(position_ - size, size);
}

Result<ByteView> SpillReader::Next() {
  const std::uint64_t left = to_ - at_ + (buffer_.size() - position_);
  return Take(std::min<std::uint64_t>(left, block_));
}

}  // namespace assay::reference
