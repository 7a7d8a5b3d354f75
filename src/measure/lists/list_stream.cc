#include "measure/lists/list_stream.h"

#include <algorithm>

#include "base/fd.h"

namespace assay::measure {
namespace {
constexpr std::size_t kWindow = 128 << 10;
constexpr std::size_t kMaxWindow = ima::kMaxRecord + (64 << 10);
}  // namespace

ListStream::ListStream(int fd, HashAlg bank, ListPlace from, std::uint64_t end)
    : fd_(fd), bank_(bank), place_(from), end_(end), window_at_(from.offset) {}

// Fills the window from the next record on, with `size` bytes or the rest of the list.
Result<> ListStream::Fill(std::size_t size) {
  window_.resize(std::min<std::uint64_t>(size, end_ - place_.offset));
  window_at_ = place_.offset;
  ASSAY_TRY(PReadExact(fd_, window_.data(), window_.size(), static_cast<off_t>(window_at_)));
  reader_.emplace(window_, bank_, place_.index);
  return {};
}

Result<std::optional<ima::RecordView>> ListStream::Next() {
  if (place_.offset >= end_) return std::optional<ima::RecordView>();
  std::size_t size = kWindow;
  if (!reader_ || place_.offset == window_at_ + window_.size()) ASSAY_TRY(Fill(size));
  while (true) {
    Result<std::optional<ima::RecordView>> next = reader_->Next();
    if (next) {
      place_.offset = window_at_ + reader_->offset();
      place_.index = reader_->next_index();
      if (*next) (*next)->offset += window_at_;
      return next;
    }
    // The record is either cut off by the window or malformed. A larger window tells which, up to the size of
    // the largest record.
    const bool all = window_at_ + window_.size() == end_ && window_at_ == place_.offset;
    if (all || size > kMaxWindow) return next;
    ASSAY_TRY(Fill(size));
    size *= 2;
  }
}

}  // namespace assay::measure
