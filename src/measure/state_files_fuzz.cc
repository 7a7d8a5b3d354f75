// The recorder's small files: what parses is written as it was read, and a torn tail is never taken for more.
#include <cstdlib>

#include "list/list.h"
#include "measure/journal.h"
#include "measure/state_files.h"

namespace {

using assay::Bytes;
using assay::ByteView;

void Overflow(ByteView bytes) {
  const auto state = assay::measure::ParseOverflow(bytes);
  if (state && !assay::Equal(EncodeOverflow(*state), bytes)) std::abort();
}

void Pending(ByteView bytes) {
  const std::size_t whole = assay::measure::WholeEntries(bytes);
  if (whole > bytes.size()) std::abort();
  // A torn tail is the part of one entry: cut anywhere, no more is whole.
  if (whole > 0 && assay::measure::WholeEntries(bytes.first(whole - 1)) >= whole) std::abort();
  if (assay::measure::WholeEntries(bytes.first(whole)) != whole) std::abort();
  (void)assay::ima::DecodeGroup(bytes.first(whole));
}

void Journal(ByteView bytes) {
  const auto part = assay::measure::ParseJournal(bytes, 0);
  if (!part) return;
  if (part->whole > bytes.size()) std::abort();
  Bytes again;
  for (const assay::measure::JournalEntry& e : part->entries) {
    const Bytes line = EncodeJournal(e);
    again.insert(again.end(), line.begin(), line.end());
  }
  if (!assay::Equal(again, bytes.first(part->whole))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      Overflow(rest);
      break;
    case 1:
      Pending(rest);
      break;
    default:
      Journal(rest);
  }
  return 0;
}
