// Internal: the list in another bank's columns or as text, read at any offset without holding it.
//
//   ListView view(list_fd, HashAlg::kSha256, {.bank = HashAlg::kSha1, .form = ListForm::kAscii});
//   ASSAY_ASSIGN(Bytes part, view.Read(offset, 128 << 10, state.list_bytes));     // shorter only at the end
//
// Contract: offsets are the same for every view of one kind, at all times. Memory: a window of the list, and
// a place for every kStride records passed. Reading on costs what is read; reading back or far ahead costs
// the way from the nearest place. Not safe from several threads.
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
  Place last_;                 // where the last read ended: the record that holds its end
  std::vector<Place> places_;  // of each kStride-th record passed
};

}  // namespace assay::measure
