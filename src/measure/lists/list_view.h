// Internal: reads the list as text or with the columns of another bank, at any offset, without holding all of
// it in memory.
//
//   // given: int list_fd, std::uint64_t offset, std::uint64_t list_end
//   ListView view(list_fd, HashAlg::kSha256, {.bank = HashAlg::kSha1, .form = ListForm::kAscii});
//   ASSAY_ASSIGN(Bytes part, view.Read(offset, 128 << 10, list_end));     // shorter only at the end
//
// Contract: an offset means the same byte in every view of one kind, at all times. The view holds a window of
// the list, and the place of every kStride-th record that it has passed. A sequential read costs only the
// bytes read. A read elsewhere costs the records between the nearest known place and its offset. Not safe
// from several threads.
#pragma once

#include <cstdint>
#include <vector>

#include "measure/lists/list_stream.h"

namespace assay::measure {

enum class ListForm { kBinary, kAscii };
struct ListKind {
  HashAlg bank = HashAlg::kSha1;
  ListForm form = ListForm::kBinary;
};

class ListView {
 public:
  ListView(int list_fd, HashAlg list_bank, ListKind kind);
  // list_end: the end of the last whole record in the list file.
  Result<Bytes> Read(std::uint64_t offset, std::size_t size, std::uint64_t list_end);

 private:
  static constexpr std::uint64_t kStride = 1024;
  struct Place {
    std::uint64_t offset = 0;  // in the view
    ListPlace list;
  };
  Bytes Render(const ima::RecordView& record) const;
  Place Nearest(std::uint64_t offset) const;
  int fd_;
  HashAlg list_bank_;
  ListKind kind_;
  Place last_;                 // the record in which the last read ended
  std::vector<Place> places_;  // of each kStride-th record passed
};

}  // namespace assay::measure
