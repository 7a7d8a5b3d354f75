// Internal: reads a list file record by record in bounded memory, also while it grows.
//
//   // given: int fd, const RecorderState& state
//   #include "measure/lists/list_source.h"
//   ListStream stream(fd, HashAlg::kSha256, {.offset = 0, .index = 0}, state.list_bytes);
//   ASSAY_ASSIGN(std::optional<ima::RecordView> record, stream.Next());       // nullopt at the end
//
// Contract: for our own lists, which have no kexec header. A view is valid until the next call. The stream
// holds one window of the file in memory, which is as large as the largest record needs. After an error,
// place() is the beginning of the bad record.
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
