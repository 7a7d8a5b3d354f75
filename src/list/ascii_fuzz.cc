// ASCII lists: a line that parses must print to a line that parses to the same record, and go through the
// binary form unchanged.
#include "base/fuzzing.h"
#include "list/list.h"

namespace {

using namespace assay;
using namespace assay::ima;

HashAlg BankOf(std::size_t size) {
  return size == 20   ? HashAlg::kSha1
         : size == 32 ? HashAlg::kSha256
         : size == 48 ? HashAlg::kSha384
                      : HashAlg::kSha512;
}

void CheckRecord(const OwnedRecord& r) {
  const HashAlg bank = BankOf(r.template_digest.size());
  const Bytes binary = EncodeRecord(r.pcr, *Digest::Of(bank, r.template_digest), r.template_name, r.data);
  if (HasKexecHeader(binary)) return;
  ListReader reader(binary, bank);
  const auto read = reader.Next();
  Require(read.has_value() && read->has_value());
  const RecordView& view = **read;
  Require(view.pcr == r.pcr && view.template_name == r.template_name && Equal(view.data, r.data));
  const auto again = ParseAscii(ToAscii(view));
  Require(again.has_value() && again->size() == 1);
  const OwnedRecord& same = again->front();
  Require(same.pcr == r.pcr && same.template_name == r.template_name && same.data == r.data &&
          same.template_digest == r.template_digest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto records = ParseAscii(AsText({data, size}));
  if (!records) {
    const auto* error = records.error().As<ParseError>();
    Require(error != nullptr && error->offset <= size);
    return 0;
  }
  for (const OwnedRecord& r : *records) CheckRecord(r);
  return 0;
}
