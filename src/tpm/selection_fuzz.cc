// PCR selections as text: a text that parses has one normal form, which parses to the same selection.
#include "base/fuzzing.h"
#include "tpm/attest_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::tpm;
  const auto selection = ParseSelectionText(assay::AsText({data, size}));
  if (!selection) return 0;
  const auto again = ParseSelectionText(SelectionText(*selection));
  assay::Require(again && *again == *selection && SelectionText(*again) == SelectionText(*selection));
  return 0;
}
