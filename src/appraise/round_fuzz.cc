// A saved round's head that is accepted is the same after it is written and read again.
#include "appraise/saved_round.h"
#include "base/fuzzing.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto head = appraise::ParseRound(AsText({data, size}));
  if (!head) return 0;
  const std::string text = appraise::EncodeRound(head->round);
  const auto again = appraise::ParseRound(text);
  Require(again && again->round == head->round && appraise::EncodeRound(again->round) == text);
  return 0;
}
