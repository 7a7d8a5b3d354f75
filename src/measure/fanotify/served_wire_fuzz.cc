// What a process that watches a served mount says to the attester.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "measure/fanotify/served_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::measure;
  const ByteView packet(data, size);
  if (const auto call = ParseSinkCall(packet, HashAlg::kSha256); call && Encode(*call).size() != size)
    abort();
  if (const auto report = ParseServedReport(packet); report && Encode(*report).size() != size) abort();
  if (const auto reply = ParseSinkReply(packet); reply && Encode(*reply).size() != size) abort();
  if (const auto setup = ParseServedSetup(packet); setup && Encode(*setup).size() > size) abort();
  return 0;
}
