// An accepted host state is the same after it is written and read again.
#include "appraise/host_state.h"
#include "base/fuzzing.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto state = appraise::ParseHostState(AsText({data, size}));
  if (!state) return 0;
  const std::string text = appraise::EncodeHostState(*state);
  const auto again = appraise::ParseHostState(text);
  Require(again && appraise::EncodeHostState(*again) == text);
  return 0;
}
