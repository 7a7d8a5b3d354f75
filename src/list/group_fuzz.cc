// The buffer of an assay-group record: what is accepted encodes to the same bytes, and its inner records
// decode or are refused.
#include <cstdlib>

#include "list/list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::ima;
  const ByteView buffer(data, size);
  const auto inner = DecodeGroup(buffer);
  if (!inner) {
    const auto* error = inner.error().As<ParseError>();
    if (error == nullptr || error->offset > size) std::abort();
    return 0;
  }
  if (!Equal(EncodeGroup(*inner), buffer)) std::abort();
  for (const InnerRecord& r : *inner) {
    RecordView view;
    view.template_name = r.template_name;
    view.data = r.data;
    if (const auto entry = Decode(view); entry && entry->fields.empty()) std::abort();
  }
  return 0;
}
