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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  if (data[0] % 2 == 0)
    Overflow(rest);
  else
    Pending(rest);
  return 0;
}
