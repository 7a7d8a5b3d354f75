// The recorder's small files: what parses is written as it was read, and a torn tail is never taken for more.
#include "base/fuzzing.h"
#include "list/list.h"
#include "measure/record/journal.h"
#include "measure/record/state_files.h"

namespace {

using assay::Bytes;
using assay::ByteView;
using assay::Require;

void Overflow(ByteView bytes) {
  const auto state = assay::measure::ParseOverflow(bytes);
  if (state) Require(assay::Equal(EncodeOverflow(*state), bytes));
}

void Pending(ByteView bytes) {
  const std::size_t whole = assay::measure::WholeEntries(bytes);
  Require(whole <= bytes.size());
  // A torn tail is the part of one entry: cut anywhere, no more is whole.
  if (whole > 0) Require(assay::measure::WholeEntries(bytes.first(whole - 1)) < whole);
  Require(assay::measure::WholeEntries(bytes.first(whole)) == whole);
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
