// PCR selections as text: what parses is said again in one way only.
#include <cstdlib>

#include "tpm/attest_data.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::tpm;
  const auto selection = ParseSelectionText(assay::AsText({data, size}));
  if (!selection) return 0;
  const auto again = ParseSelectionText(SelectionText(*selection));
  if (!again || *again != *selection || SelectionText(*again) != SelectionText(*selection)) std::abort();
  return 0;
}
