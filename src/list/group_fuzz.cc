// The buffer of an assay-group record: an accepted buffer encodes to the same bytes, and its inner records
// decode or are refused.
#include "base/fuzzing.h"
#include "list/list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::ima;
  const ByteView buffer(data, size);
  const auto inner = DecodeGroup(buffer);
  if (!inner) {
    const auto* error = inner.error().As<ParseError>();
    Require(error != nullptr && error->offset <= size);
    return 0;
  }
  Require(Equal(EncodeGroup(*inner), buffer));
  for (const InnerRecord& r : *inner) {
    RecordView view;
    view.template_name = r.template_name;
    view.data = r.data;
    const auto entry = Decode(view);
    Require(!entry || !entry->fields.empty());
  }
  return 0;
}
