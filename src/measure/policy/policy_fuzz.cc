// Policies: the offset of an error is within the text. A policy decides the same after its text is parsed
// again, and never measures or appraises less when fewer facts are known. The first NUL ends the text; then
// come a glob and, after another NUL, a path: matching must agree with a plain recursive definition.
#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/policy/policy.h"

using namespace assay;           // NOLINT(google-build-using-namespace): a program of one function
using namespace assay::measure;  // NOLINT(google-build-using-namespace)

namespace {

bool Matches(std::string_view glob, std::string_view path) {
  if (glob.empty()) return path.empty();
  if (glob.starts_with("**")) {
    for (std::size_t n = 0; n <= path.size(); ++n)
      if (Matches(glob.substr(2), path.substr(n))) return true;
    return false;
  }
  if (glob[0] == '*') {
    for (std::size_t n = 0; n <= path.size(); ++n) {
      if (Matches(glob.substr(1), path.substr(n))) return true;
      if (n < path.size() && path[n] == '/') return false;
    }
    return false;
  }
  if (path.empty()) return false;
  if (glob[0] == '?') return path[0] != '/' && Matches(glob.substr(1), path.substr(1));
  if (glob[0] == '\\' && glob.size() > 1) glob.remove_prefix(1);
  return glob[0] == path[0] && Matches(glob.substr(1), path.substr(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = AsText({data, size});
  const std::size_t cut = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(0, cut);
  const auto policy = Policy::Parse(text);
  if (!policy) {
    const auto* error = policy.error().As<ParseError>();
    Require(error != nullptr && error->offset <= text.size());
  } else {
    const auto again = Policy::Parse(policy->text());
    Require(again && again->needs() == policy->needs());
    Facts facts{.fs_magic = 0xef53, .fs_name = "ext4", .owner = 0, .group = 0, .path = "/usr/bin/true"};
    facts.code = facts.known = true;
    facts.uid = facts.euid = facts.gid = facts.egid = 0;
    for (const Func func : {Func::kFileCheck, Func::kBprmCheck, Func::kMmapCheck}) {
      const Ruling all = policy->Rule(func, kMayExec, facts), none = policy->Rule(func, kMayExec, {});
      const Ruling same = again->Rule(func, kMayExec, facts);
      Require(same.measure == all.measure && same.appraise == all.appraise && same.audit == all.audit);
      Require(all.measure <= none.measure && all.appraise <= none.appraise && all.audit <= none.audit);
    }
  }
  if (cut + 1 < input.size()) {
    const std::string_view rest = input.substr(cut + 1);
    const std::size_t middle = std::min(rest.find('\0'), rest.size());
    const std::string_view glob = rest.substr(0, middle),
                           path = rest.substr(std::min(middle + 1, rest.size()));
    // The plain definition takes exponential time.
    if (glob.size() <= 12 && path.size() <= 24) Require(GlobMatches(glob, path) == Matches(glob, path));
  }
  return 0;
}
