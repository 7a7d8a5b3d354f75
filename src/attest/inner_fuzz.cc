// The packets between the network process and the privileged one: each has one encoding.
#include "attest/inner.h"
#include "base/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::attest;
  const ByteView packet(data, size);
  if (const auto request = ParseNetRequest(packet)) Require(Equal(EncodeNetRequest(*request), packet));
  if (const auto total = ParseNetAnswer(packet)) Require(Equal(EncodeNetAnswer(*total), packet));
  if (const auto report = ParseNetReport(packet)) Require(Equal(EncodeNetReport(*report), packet));
  if (const auto setup = ParseNetSetup(packet)) Require(Equal(EncodeNetSetup(*setup), packet));
  return 0;
}
