// The journal: what is whole encodes to the same bytes again, also when it is read in two parts.
#include "base/fuzzing.h"
#include "measure/record/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::measure;
  const ByteView bytes(data, size);
  const auto all = ParseJournal(bytes, 0);
  if (!all) return 0;
  Require(all->whole <= size);
  Bytes encoded;
  std::uint64_t half = 0;
  for (std::size_t i = 0; i < all->entries.size(); ++i) {
    if (i == all->entries.size() / 2) half = encoded.size();
    const Bytes entry = EncodeJournal(all->entries[i]);
    encoded.insert(encoded.end(), entry.begin(), entry.end());
  }
  Require(Equal(encoded, bytes.first(all->whole)));
  const auto rest = ParseJournal(bytes.subspan(half), 0);
  Require(rest && half + rest->whole == all->whole);
  const auto later = ParseJournal(bytes, 5);
  Require(later && later->whole == all->whole && later->entries.size() <= all->entries.size());
  return 0;
}
