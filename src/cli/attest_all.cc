// The command `assay attest --all`: docs/formats/hosts.md
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <nlohmann/json.hpp>

#include "appraise/finding_names.h"
#include "appraise/result.h"
#include "base/text.h"
#include "base/thread.h"
#include "cli/hosts.h"
#include "cli/progress.h"

namespace assay::cli {
namespace {

using appraise::Verdict;
using nlohmann::json;

constexpr std::size_t kAtOnce = 16;  // hosts that are asked at the same time
constexpr std::size_t kNamed = 3;    // kinds of findings in a host's line

struct HostResult {
  const Host* host = nullptr;
  Result<RoundResult> result;
  // A host that can't be asked says nothing, good or bad.
  Verdict verdict() const { return result ? result->appraisal.verdict : Verdict::kUnknown; }
};

std::vector<HostResult> AskAll(const std::vector<Host>& hosts, const Session& session) {
  std::vector<HostResult> results(hosts.size());
  std::atomic<std::size_t> next{0}, done{0};
  Progress progress(session.progress, "hosts");
  const auto work = [&] {
    while (true) {
      const std::size_t i = next++;
      if (i >= hosts.size()) return;
      results[i].host = &hosts[i];
      results[i].result = AttestOnce(hosts[i].target, [](const std::string&) {});
      progress.At(++done, hosts.size());
    }
  };
  std::vector<Thread> threads;
  for (std::size_t i = 1; i < std::min(kAtOnce, hosts.size()); ++i)
    threads.push_back(Thread::Try("assay-host", work));
  work();
  for (Thread& thread : threads)
    if (thread.Joinable()) thread.Join();
  return results;
}

// "entry.unknown x500, boot.kernel": the kinds of findings that weigh, the most frequent first.
std::string Kinds(const appraise::Appraisal& a) {
  std::map<std::string_view, std::size_t> counts;
  for (const appraise::Finding& f : a.findings)
    if (f.weight != Verdict::kTrusted) ++counts[NameText(f.name)];
  std::vector<std::pair<std::string_view, std::size_t>> kinds(counts.begin(), counts.end());
  std::sort(kinds.begin(), kinds.end(), [](const auto& one, const auto& other) {
    return one.second != other.second ? one.second > other.second : one.first < other.first;
  });
  std::string text;
  for (std::size_t i = 0; i < kinds.size() && i < kNamed; ++i)
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", kinds[i].first,
                        kinds[i].second > 1 ? fmt::format(" x{}", kinds[i].second) : "");
  if (kinds.size() > kNamed) text += fmt::format(" and {} more kinds", kinds.size() - kNamed);
  return text;
}

json HostJson(const HostResult& r, const appraise::Shown& shown) {
  json out = json::object();
  if (r.result) {
    appraise::Shown own = shown;
    own.before = &r.result->round.before;
    out = ToJson(r.result->appraisal, false, own);
  } else {
    out["error"] = ErrorJson(r.result.error());
  }
  out["name"] = r.host->name;
  out["verdict"] = VerdictName(r.verdict());
  return out;
}

void PrintTable(const std::vector<HostResult>& results, const AllOptions& o, const Session& session) {
  std::size_t width = 0;
  for (const HostResult& r : results) width = std::max(width, Printable(r.host->name).size());
  std::map<Verdict, std::size_t> counts;
  for (const HostResult& r : results) {
    ++counts[r.verdict()];
    const std::string about = !r.result ? r.result.error().Message() : Kinds(r.result->appraisal);
    fmt::print("{:<{}}  {}  {}{}{}\n", Printable(r.host->name), width,
               appraise::Tinted(r.verdict(), fmt::format("{:<14}", VerdictName(r.verdict())), session.colour),
               r.result ? ReachText(r.result->appraisal) : "not asked", about.empty() ? "" : ": ",
               Printable(about));
    if (!o.all_findings || !r.result) continue;
    fmt::print("{}\n", Describe(r.result->appraisal, false, session.colour,
                                {.before = &r.result->round.before, .all = true, .findings = o.findings}));
  }
  fmt::print("{} hosts: {} trusted, {} not trusted, {} could not tell\n", results.size(),
             counts[Verdict::kTrusted], counts[Verdict::kNotTrusted], counts[Verdict::kUnknown]);
}

}  // namespace

Result<int> AttestAll(const AllOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::string text, ReadText(o.file, kMaxHostsFile));
  const std::size_t slash = o.file.rfind('/');
  Result<std::vector<Host>> hosts =
      ParseHosts(text, slash == std::string::npos ? "." : o.file.substr(0, slash));
  if (!hosts) return Fail(hosts.error().In(o.file));
  for (Host& host : *hosts) {
    if (session.timeout.count() > 0) host.target.address.timeout = session.timeout;
    host.target.selection = o.selection;
    host.target.full = o.full;
  }
  const std::vector<HostResult> results = AskAll(*hosts, session);
  Verdict all = Verdict::kTrusted;
  for (const HostResult& r : results) all = appraise::Worse(all, r.verdict());
  const int worst = static_cast<int>(all);  // a verdict is its exit code
  if (session.json) {
    json list = json::array();
    for (const HostResult& r : results) list.push_back(HostJson(r, {.findings = o.findings}));
    session.Answer({{"hosts", list}}, worst);
  } else {
    PrintTable(results, o, session);
  }
  return worst;
}

}  // namespace assay::cli
