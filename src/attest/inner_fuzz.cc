// The packets between the network process and the privileged one: each has one encoding.
#include <cstdlib>

#include "attest/inner.h"

namespace {

void Same(const assay::Bytes& encoded, assay::ByteView packet) {
  if (!assay::Equal(encoded, packet)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay::attest;
  const assay::ByteView packet(data, size);
  if (const auto request = ParseNetRequest(packet)) Same(EncodeNetRequest(*request), packet);
  if (const auto total = ParseNetAnswer(packet)) Same(EncodeNetAnswer(*total), packet);
  if (const auto report = ParseNetReport(packet)) Same(EncodeNetReport(*report), packet);
  if (const auto setup = ParseNetSetup(packet)) Same(EncodeNetSetup(*setup), packet);
  return 0;
}
