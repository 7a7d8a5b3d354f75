// For bench/who-ran.sh: an index of what a synthetic fleet ran.
//   bench_who_ran build FILE HOSTS ENTRIES     hosts join over a year; a tenth of them boots anew at its end
//   bench_who_ran ask FILE HOSTS ENTRIES
// Each prints one JSON object. A host has one of four releases and one of 50 roles, in no order. Of its
// entries, half are of the release, and half of the role, of which it has loaded four fifths; three are of
// this host alone. Times are of the processor, so that they say the same where others use it too.
#include "who_ran/who_ran.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace assay::who_ran {
namespace {

constexpr std::uint64_t kReleases = 4, kRoles = 50, kOfOneHost = 3;
constexpr std::uint64_t kFirstDay = 20'000, kDays = 365;
constexpr std::size_t kMemory = std::size_t{1} << 30;  // of additions, before they are merged
constexpr std::uint64_t kAskedOfEach = 100;

double CpuNow() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
// splitmix64: as evenly spread as the bytes of a digest, and much faster to make.
std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}
enum class Kind : std::uint64_t { kRelease = 1, kRole = 2, kOwn = 3 };
Value ValueOfNumber(Kind kind, std::uint64_t group, std::uint64_t number) {
  Value v;
  std::uint64_t x = Mix(static_cast<std::uint64_t>(kind) << 60U | group << 32U | number);
  for (std::size_t i = 0; i < v.bytes.size(); i += 8, x = Mix(x))
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&x), 8,
                v.bytes.begin() + static_cast<std::ptrdiff_t>(i));
  return v;
}

struct Fleet {
  std::uint64_t hosts, entries;
  std::vector<Value> values{};  // of the releases, then of the roles

  std::uint64_t OfRelease() const { return entries / 2; }
  std::uint64_t OfRole() const { return (entries - OfRelease()) * 5 / 4; }
  void Fill() {
    for (std::uint64_t r = 0; r < kReleases; ++r)
      for (std::uint64_t i = 0; i < OfRelease(); ++i) values.push_back(ValueOfNumber(Kind::kRelease, r, i));
    for (std::uint64_t r = 0; r < kRoles; ++r)
      for (std::uint64_t i = 0; i < OfRole(); ++i) values.push_back(ValueOfNumber(Kind::kRole, r, i));
  }
  static std::uint64_t ReleaseOf(std::uint64_t host) { return Mix(host) % kReleases; }
  static std::uint64_t RoleOf(std::uint64_t host) { return Mix(host + (std::uint64_t{1} << 40U)) % kRoles; }
  std::uint64_t DayOf(std::uint64_t host) const { return kFirstDay + host * kDays / hosts; }

  Result<std::uint64_t> Round(Updates& updates, std::uint64_t host, std::uint64_t day,
                              std::uint64_t boot) const {
    ASSAY_ASSIGN(const who_ran::Round round,
                 updates.Begin({.host = fmt::format("host{:07}.example.org", host),
                                .boot_id = fmt::format("{} {}", host, boot),
                                .time_ms = day * kDayMs}));
    std::uint64_t count = kOfOneHost;
    for (std::uint64_t i = 0; i < kOfOneHost; ++i) updates.Ran(round, ValueOfNumber(Kind::kOwn, i, host));
    const Value* release = values.data() + ReleaseOf(host) * OfRelease();
    for (std::uint64_t i = 0; i < OfRelease(); ++i, ++count) updates.Ran(round, release[i]);
    const Value* role = values.data() + kReleases * OfRelease() + RoleOf(host) * OfRole();
    std::uint64_t random = Mix(host * 2 + 1);
    for (std::uint64_t i = 0; i < OfRole(); ++i) {
      random = i % 8 == 0 ? Mix(random) : random >> 8U;
      if (random % 256 >= 205) continue;  // about a fifth of the role's files was not loaded
      updates.Ran(round, role[i]);
      ++count;
    }
    return count;
  }
};

struct Progress {
  std::uint64_t added = 0;
  double adding = 0, merging = 0;
  unsigned merges = 0;
  Result<> Merge(Updates& updates) {
    const double start = CpuNow();
    ASSAY_TRY(updates.Write());
    merging += CpuNow() - start;
    ++merges;
    return {};
  }
};

Result<> AddAll(const Fleet& fleet, const std::string& file, std::uint64_t step, std::uint64_t late,
                Progress& p) {
  ASSAY_ASSIGN(Updates updates, Updates::Onto(file));
  for (std::uint64_t host = 0; host < fleet.hosts; host += step) {
    const double start = CpuNow();
    ASSAY_ASSIGN(const std::uint64_t count,
                 fleet.Round(updates, host, late == 0 ? fleet.DayOf(host) : late, late));
    p.adding += CpuNow() - start;
    p.added += count;
    if (updates.bytes() > kMemory) ASSAY_TRY(p.Merge(updates));
  }
  return p.Merge(updates);
}

void Print(const char* what, const Progress& p, const std::string& file) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double seconds = p.adding + p.merging;
  fmt::print(
      R"({{"what":"{}","entries":{},"seconds":{:.1f},"merges":{},"merging":{:.1f},"million_a_second":{:.2f},)"
      R"("bytes":{},"bits_per_entry":{:.2f},"peak_mib":{}}})"
      "\n",
      what, p.added, seconds, p.merges, p.merging, static_cast<double>(p.added) / seconds / 1e6,
      std::filesystem::file_size(file),
      static_cast<double>(std::filesystem::file_size(file)) * 8 / static_cast<double>(p.added),
      usage.ru_maxrss / 1024);
}

Result<> Build(const Fleet& fleet, const std::string& file) {
  Progress first;
  ASSAY_TRY(AddAll(fleet, file, 1, 0, first));
  Print("all hosts", first, file);
  Progress again;
  ASSAY_TRY(AddAll(fleet, file, 10, kFirstDay + kDays + 7, again));
  Print("a tenth boots anew", again, file);
  return {};
}

struct Times {
  std::vector<double> ms{};
  std::uint64_t hosts = 0;  // in the answers
  template <typename Ask>
  Result<> Take(const Ask& ask) {
    const double start = CpuNow();
    const auto answer = ask();
    ms.push_back((CpuNow() - start) * 1e3);
    if (!answer) return Fail(answer.error());
    hosts += answer->size();
    return {};
  }
  double Median() {
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
  }
};

Result<> Ask(const Fleet& fleet, const std::string& file) {
  const double start = CpuNow();
  ASSAY_ASSIGN(const WhoRan index, WhoRan::Open(file));
  const double open_ms = (CpuNow() - start) * 1e3;
  double worst = 0;
  double worst_when = 0;
  std::string out;
  for (const auto& [name, kind, groups, numbers] :
       {std::tuple{"release", Kind::kRelease, kReleases, fleet.OfRelease()},
        std::tuple{"role", Kind::kRole, kRoles, fleet.OfRole()},
        std::tuple{"one_host", Kind::kOwn, kOfOneHost, fleet.hosts}}) {
    Times which;
    Times when;
    for (std::uint64_t i = 0; i < kAskedOfEach; ++i) {
      const Value v = ValueOfNumber(kind, Mix(i) % groups, Mix(i + kAskedOfEach) % numbers);
      ASSAY_TRY(which.Take([&] { return index.Which(v); }));
      ASSAY_TRY(when.Take([&] { return index.When(v); }));
    }
    if (which.hosts == 0 || which.hosts != when.hosts) return Fail(UsageError("the answers differ"));
    out += fmt::format(R"("{}":{{"hosts":{},"which_ms":{:.3f},"when_ms":{:.3f}}},)", name,
                       which.hosts / kAskedOfEach, which.Median(), when.Median());
    worst = std::max(worst, which.ms.back());
    worst_when = std::max(worst_when, *std::max_element(when.ms.begin(), when.ms.end()));
  }
  fmt::print(R"({{"values":{},"hosts":{},"open_ms":{:.3f},{}"which_worst_ms":{:.3f},"when_worst_ms":{:.3f}}})"
             "\n",
             index.values(), index.hosts(), open_ms, out, worst, worst_when);
  return {};
}

Result<> Main(int argc, char** argv) {
  const std::string_view what = argc == 5 ? argv[1] : "";
  if (what != "build" && what != "ask") return Fail(UsageError("bench_who_ran build|ask FILE HOSTS ENTRIES"));
  Fleet fleet{.hosts = std::strtoull(argv[3], nullptr, 10), .entries = std::strtoull(argv[4], nullptr, 10)};
  fleet.Fill();
  return what == "build" ? Build(fleet, argv[2]) : Ask(fleet, argv[2]);
}

}  // namespace
}  // namespace assay::who_ran

int main(int argc, char** argv) {
  const auto done = assay::who_ran::Main(argc, argv);
  if (done) return 0;
  fmt::print(stderr, "{}\n", done.error().Message());
  return 1;
}
