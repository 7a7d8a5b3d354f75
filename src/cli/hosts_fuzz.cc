// A hosts file of any bytes.
#include "base/fuzzing.h"
#include "cli/hosts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  const auto hosts = cli::ParseHosts(AsText({data, size}), "/etc/assay");
  if (!hosts) return 0;
  Require(!hosts->empty() && hosts->size() <= cli::kMaxHosts);
  for (const cli::Host& h : *hosts) Require(h.target.address.given() && h.target.state.starts_with('/'));
  return 0;
}
