// Internal: reads a list file record by record in bounded memory, also while it grows.
//
//   ListStream stream(fd, HashAlg::kSha256, {.offset = 0, .index = 0}, state.list_bytes);
//   ASSAY_ASSIGN(std::optional<ima::RecordView> r, stream.Next());       // nullopt at the end
//
// Contract: for lists of ours, which have no kexec header. A view is valid until the next call. Holds one
// window of the file, larger only for a record that is larger. After an error, place() is where the bad
// record begins.
#pragma once

#include <cstdint>
#include <optional>

#include "list/list.h"

namespace assay::measure {

struct ListPlace {
  std::uint64_t offset = 0;  // in the file, where the record begins
  std::uint64_t index = 0;   // of the record
};

class ListStream {
 public:
  ListStream(int fd, HashAlg bank, ListPlace from, std::uint64_t end);
  Result<std::optional<ima::RecordView>> Next();
  const ListPlace& place() const { return place_; }  // of the next record

 private:
  Result<> Fill(std::size_t size);
  int fd_;
  HashAlg bank_;
  ListPlace place_;
  std::uint64_t end_;
  Bytes window_;
  std::uint64_t window_at_;
  std::optional<ima::ListReader> reader_;
};

}  // namespace assay::measure
