// First measurements per second into the list and the PCR, with swtpm: each in a record of its own, and
// grouped; both also with the delay that a TPM chip has (record DELAY_LIBRARY DELAY_US).
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/log.h"
#include "measure/record/recorder.h"
#include "tpm/software_tpm.h"

namespace assay {
namespace {

constexpr int kRuns = 3;
constexpr unsigned kThreads = 2;
// 12,313 first measurements by the kernel's IMA with a physical TPM took 102.8 s, with a virtual one 46.3 s.
constexpr double kImaPhysical = 12'313 / 102.8, kImaVirtual = 12'313 / 46.3;

double Give(const Error& e) {
  fmt::print(stderr, "record: {}\n", e.Message());
  exit(1);
}

double Once(tpm::Tpm& tpm, const std::string& dir, bool grouped, std::uint32_t pcr, unsigned count) {
  measure::RecorderOptions options;
  options.dir = dir;
  options.pcr = pcr;
  options.kernel_list = "/nonexistent";
  options.known = [grouped](const Digest&) { return grouped; };
  auto recorder = measure::Recorder::Open(options, tpm);
  if (!recorder) return Give(recorder.error());
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = t; i < count; i += kThreads) {
        const std::string path = fmt::format("/usr/lib/x86_64-linux-gnu/libexample-{}.so.1", i);
        if (auto r = (*recorder)->Record({Hash(HashAlg::kSha256, AsBytes(path)), path, {}}); !r)
          Give(r.error());
      }
    });
  for (std::thread& t : threads) t.join();
  if (auto r = (*recorder)->Flush(); !r) Give(r.error());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return count / took.count();
}

// A TPM of its own each time: a recorder takes only a fresh PCR.
double Run(const std::string& preload, bool grouped, unsigned count) {
  std::vector<double> rates;
  for (int run = 0; run < kRuns; ++run) {
    char name[] = "/tmp/assay-record.XXXXXX";
    if (mkdtemp(name) == nullptr) return Give(OsError("mkdtemp", name, errno));
    const std::string dir = name;
    auto swtpm =
        tpm::SoftwareTpm::Start({.state_dir = dir + "/state", .run_dir = dir + "/run", .preload = preload});
    if (!swtpm) return Give(swtpm.error());
    auto tpm = tpm::Tpm::Connect(swtpm->tcti());
    if (!tpm) return Give(tpm.error());
    rates.push_back(Once(**tpm, dir + "/list", grouped, 10, count));
    tpm->reset();
    if (auto r = swtpm->Stop(); !r) Give(r.error());
    std::filesystem::remove_all(dir);
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  using namespace assay;
  const std::string delay = argc == 2 ? argv[1] : "";
  if (delay.empty()) return 64;
  static_cast<void>(log::Init({.level = log::Level::kWarn, .json = false, .file = ""}));
  const auto say = [](const char* what, double rate) {
    fmt::print("{:<40} {:>10.0f} measurements/s\n", what, rate);
  };
  say("synchronous, swtpm", Run("", false, 5'000));
  say("grouped, swtpm", Run("", true, 50'000));
  say("synchronous, 6 ms added to each extend", Run(delay, false, 300));
  const double value = Run(delay, true, 50'000);
  say("grouped, 6 ms added to each extend", value);
  say("kernel IMA, virtual TPM (published)", kImaVirtual);
  say("kernel IMA, physical TPM (published)", kImaPhysical);
  fmt::print(
      R"-({{"name": "record", "value": {:.0f}, "unit": "measurements/s", "peer": "kernel IMA, physical TPM (published)", )-"
      R"-("peer_value": {:.1f}, "ratio": {:.2f}}})-"
      "\n",
      value, kImaPhysical, value / kImaPhysical);
  return 0;
}
