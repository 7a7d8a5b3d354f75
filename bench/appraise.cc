// For bench/appraise.sh: saves a round whose list has this many files that no reference value has, and prints
// the PCR.
//   bench_appraise FOLDER RECORDS
#include <fmt/format.h>

#include <cstdlib>

#include "appraise/saved_round.h"
#include "appraise/synthetic.h"

namespace assay {
namespace {

Result<> Make(const char* folder, std::uint64_t records) {
  appraise::SyntheticHost host;
  host.checkpoint_stride = 4096;
  while (host.records.size() < records) {
    const std::string name = fmt::format("/usr/lib/x86_64-linux-gnu/lib{:07}.so", host.records.size());
    host.File(name, name);
  }
  appraise::SavedRound round;
  round.nonce = evidence::Nonce::Filled(1);
  round.evidence = host.Quote(round.nonce);
  round.binding = {"unix", {}};
  round.selection = host.Selection();
  ASSAY_TRY(appraise::SaveRound(round, folder));
  fmt::print("sha256:10:{}\n", host.pcrs.at(appraise::SyntheticHost::kBank).at(10).hex());
  return {};
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const assay::Result<> made = assay::Make(argv[1], std::strtoull(argv[2], nullptr, 10));
  if (!made) fmt::print(stderr, "{}\n", made.error().Message());
  return made ? 0 : 1;
}
