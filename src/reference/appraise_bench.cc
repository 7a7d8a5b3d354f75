// Appraises a long list: 1,000,000 entries of 20,000 files against a real index, with and without context.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "appraise/synthetic.h"
#include "reference/index.h"

namespace assay::reference {
namespace {

constexpr int kFiles = 20'000;
constexpr int kEntries = 1'000'000;

struct Setup {
  appraise::SyntheticHost host;
  std::unique_ptr<Index> index;
  evidence::Nonce nonce = evidence::Nonce::Filled(1);

  explicit Setup(bool context) {
    char name[] = "/tmp/assay-bench.XXXXXX";
    if (mkdtemp(name) == nullptr) abort();
    const std::string dir = name;
    std::filesystem::create_directory(dir + "/files");
    std::ofstream(dir + "/files/assayd") << "assayd";
    for (int i = 0; i < kFiles; ++i) std::ofstream(dir + "/files/f" + std::to_string(i)) << "content " << i;
    Builder builder;
    if (!builder.AddFolder(dir + "/files", "package", "1.0") || !builder.Write(dir + "/x.idx")) abort();
    index = std::move(*Index::Open(dir + "/x.idx"));
    host.checkpoint_stride = 4096;
    for (int i = 0; i < kEntries; ++i) {
      if (context) {
        const Bytes line = evidence::EncodeContextLine({.index = host.records.size(),
                                                        .sub = 0,
                                                        .time_ms = 1'700'000'000'000,
                                                        .pid = 4711,
                                                        .uid = 1000,
                                                        .comm = "bash",
                                                        .hook = "exec"});
        host.context.insert(host.context.end(), line.begin(), line.end());
      }
      host.File(fmt::format("content {}", i % kFiles), fmt::format("{}/files/f{}", dir, i % kFiles));
    }
    std::filesystem::remove_all(dir);
  }
};

void Judge(benchmark::State& state) {
  const Setup setup(state.range(0) != 0);
  appraise::Policy policy;
  policy.allow_first_use = true;
  const evidence::Evidence evidence = setup.host.Quote(setup.nonce);
  for (auto _ : state) {
    const appraise::Appraisal a = appraise::Appraise(setup.host.Ask(evidence, setup.nonce),
                                                     appraise::HostState{}, *setup.index, policy);
    if (a.verdict != appraise::Verdict::kTrusted) state.SkipWithError("not trusted");
  }
  state.SetItemsProcessed(state.iterations() * kEntries);
}
BENCHMARK(Judge)->ArgName("context")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace assay::reference
