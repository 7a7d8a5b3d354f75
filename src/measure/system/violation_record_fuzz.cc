// A record that parses is written as it was read.
#include "base/fuzzing.h"
#include "measure/system/violation_record.h"

using namespace assay;
using namespace assay::measure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<ViolationRecord> read = ParseViolation(AsText({data, size}));
  if (!read) return 0;
  const Result<ViolationRecord> again = ParseViolation(EncodeViolation(*read));
  Require(again && again->violation == read->violation && again->program == read->program);
  Require(again->path.size() == read->path.size());
  return 0;
}
