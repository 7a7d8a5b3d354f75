// Internal: what does not fit into memory while an index is built: a temporary file without a name, and the
// merge of sorted runs.
//
//   // given: const std::string& folder, ByteView bytes
//   ASSAY_ASSIGN(Spill spill, Spill::Make(folder));
//   ASSAY_TRY(spill.Put(bytes));
//   ASSAY_TRY(spill.Flush());
//   SpillReader reader(spill, 0, spill.size());
//   ASSAY_ASSIGN(const ByteView again, reader.Take(bytes.size()));
//
// Contract: a spill without a folder stays in memory. The file is gone when its process ends, however it
// ends. A reader's view is valid until its next call.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"

namespace assay::reference {

class Spill {
 public:
  static Result<Spill> Make(const std::string& folder);
  Result<> Put(ByteView bytes);
  Result<> PutU32(std::uint32_t value) { return Put({reinterpret_cast<const std::uint8_t*>(&value), 4}); }
  Result<> Flush();
  std::uint64_t size() const { return written_ + buffer_.size(); }

 private:
  friend class SpillReader;
  UniqueFd fd_;                  // none: in memory
  std::optional<Error> failed_;  // a write did: no later one makes the content whole
  Bytes buffer_;
  std::uint64_t written_ = 0;
};

class SpillReader {
 public:
  static constexpr std::size_t kBlock = std::size_t{256} << 10;
  // Reads bytes [from, to). The spill is flushed, and outlives the reader.
  SpillReader(const Spill& spill, std::uint64_t from, std::uint64_t to, std::size_t block = kBlock)
      : spill_(&spill), at_(from), to_(to), block_(block) {}
  bool done() const { return at_ == to_ && position_ == buffer_.size(); }
  Result<ByteView> Take(std::size_t size);
  Result<ByteView> Next();  // some more bytes; empty at the end

 private:
  const Spill* spill_;
  std::uint64_t at_, to_;  // of what is not in the buffer yet
  std::size_t block_, position_ = 0;
  Bytes buffer_;
};

// Takes the records of sorted runs in their order. A Run has Result<bool> Next(), false at its end, and
// `<` of its present record.
template <typename Run, typename TakeRecord>
Result<> MergeRuns(std::vector<Run>& runs, const TakeRecord& take) {
  std::vector<Run*> heap;
  const auto after = [](const Run* a, const Run* b) { return *b < *a; };
  for (Run& run : runs) {
    ASSAY_ASSIGN(const bool has, run.Next());
    if (has) heap.push_back(&run);
  }
  std::make_heap(heap.begin(), heap.end(), after);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), after);
    ASSAY_TRY(take(*heap.back()));
    ASSAY_ASSIGN(const bool has, heap.back()->Next());
    if (has)
      std::push_heap(heap.begin(), heap.end(), after);
    else
      heap.pop_back();
  }
  return {};
}

}  // namespace assay::reference
