// A year of updates: update_year SEED DAYS HOSTS. The last line is JSON.
#include <stdlib.h>

#include <filesystem>

#include "base/clock.h"
#include "reference/update_year_testing.h"

namespace {

assay::Result<int> Run(std::uint64_t seed, unsigned days, unsigned hosts) {
  char name[] = "/tmp/assay-year.XXXXXX";
  if (mkdtemp(name) == nullptr) return assay::Fail(assay::OsError("mkdtemp", name, errno));
  const std::uint64_t start = assay::NowMs();
  assay::reference::UpdateYear year(
      {.seed = seed, .days = days, .hosts = hosts, .packages = 20, .folder = name});
  const auto outcome = year.Run();
  std::filesystem::remove_all(name);
  if (!outcome) return assay::Fail(outcome.error());
  fmt::print(
      R"({{"rounds":{},"versions":{},"upgrades":{},"hosts_first":{},"early":{},"reboots":{},"planted":{},"found":{},)"
      R"("false_alarms":{},"milliseconds":{}}})"
      "\n",
      outcome->rounds, outcome->versions, outcome->upgrades, outcome->hosts_first, outcome->early,
      outcome->reboots, outcome->planted, outcome->found, outcome->false_alarms, assay::NowMs() - start);
  if (!outcome->first_false_alarm.empty()) fmt::print(stderr, "{}\n", outcome->first_false_alarm);
  if (!outcome->first_missed.empty()) fmt::print(stderr, "missed: {}\n", outcome->first_missed);
  // A year in which nothing was planted, or in which nobody was ahead of the other, would show nothing.
  const bool shows = outcome->planted > 0 && outcome->hosts_first > 0 && outcome->early > 0;
  return shows && outcome->false_alarms == 0 && outcome->found == outcome->planted ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  const auto code = Run(strtoull(argv[1], nullptr, 10), static_cast<unsigned>(strtoul(argv[2], nullptr, 10)),
                        static_cast<unsigned>(strtoul(argv[3], nullptr, 10)));
  if (!code) fmt::print(stderr, "{}\n", code.error().Message());
  return code ? *code : 70;
}
