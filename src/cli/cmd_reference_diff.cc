// What one index adds and retires against another. man/assay-reference.1
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "appraise/result.h"
#include "cli/cmd_reference.h"
#include "reference/diff.h"

namespace assay::cli {
namespace {

using nlohmann::json;

struct DiffOptions {
  std::string before, now;
};

json PackageJson(const reference::IndexedPackage& p) {
  return {{"package", p.package}, {"version", p.version}, {"architecture", p.architecture}};
}

// Prints the packages for people, and returns them for scripts.
json Tell(const std::vector<reference::IndexedPackage>& packages, std::string_view what, bool as_json) {
  json list = json::array();
  for (const reference::IndexedPackage& p : packages) {
    list.push_back(PackageJson(p));
    if (!as_json) fmt::print("{} {} {} {}\n", what, p.package, p.version, p.architecture);
  }
  return list;
}

json TellStanding(const std::vector<reference::IndexDiff::Standing>& standing, bool as_json) {
  json list = json::array();
  for (const reference::IndexDiff::Standing& s : standing) {
    json j = PackageJson(s.now);
    j["before"] = appraise::StandingName(s.before);
    j["now"] = appraise::StandingName(s.now.Judged());
    j["advisories"] = appraise::ToJson(s.now.advisories);
    list.push_back(std::move(j));
    if (as_json) continue;
    const std::string known = appraise::AdvisoriesText(s.now.advisories, s.now.advisory_count);
    fmt::print("{:<9} {} {} {}{}{}\n", appraise::StandingName(s.now.Judged()), s.now.package, s.now.version,
               s.now.architecture, s.now.note.empty() ? "" : " (" + s.now.note + ")",
               known.empty() ? "" : ": " + known);
  }
  return list;
}

Result<int> Diff(const DiffOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::unique_ptr<reference::Index> before, reference::Index::Open(o.before));
  ASSAY_ASSIGN(const std::unique_ptr<reference::Index> now, reference::Index::Open(o.now));
  const reference::IndexDiff diff = reference::Compare(*before, *now);
  const json report = {{"added", Tell(diff.added, "added    ", session.json)},
                       {"retired", Tell(diff.retired, "retired  ", session.json)},
                       {"gone", Tell(diff.gone, "gone     ", session.json)},
                       {"changed", Tell(diff.changed, "changed  ", session.json)},
                       {"standing", TellStanding(diff.standing, session.json)},
                       {"digests", {{"before", before->size()}, {"now", now->size()}}}};
  if (session.json)
    session.Answer(report);
  else
    fmt::print("{} added, {} retired, {} gone, {} changed, {} of another standing; {} digests, before {}\n",
               diff.added.size(), diff.retired.size(), diff.gone.size(), diff.changed.size(),
               diff.standing.size(), now->size(), before->size());
  return diff.empty() ? kExitOk : kExitNotTrusted;
}

}  // namespace

void AddDiff(Command reference, Session& session) {
  auto o = std::make_shared<DiffOptions>();
  Command diff = reference.AddCommand("diff", "What one index adds and retires: 0 nothing, 1 something");
  diff.AddOption("before", o->before, "The index of before").Required();
  diff.AddOption("now", o->now, "The index of now").Required();
  diff.OnRun([o, &session] { session.Finish(Diff(*o, session)); });
}

}  // namespace assay::cli
