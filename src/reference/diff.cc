#include "reference/diff.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "reference/further_digests.h"

namespace assay::reference {
namespace {

using appraise::Standing;

// A package's byte code is a row of its own, with a note of its own; here it belongs to the package.
using Key = std::tuple<std::string, std::string, std::string>;
Key KeyOf(const IndexedPackage& p) { return {p.package, p.version, p.architecture}; }

struct Known {
  IndexedPackage package;
  std::vector<std::pair<std::string, Digest>> files;
};

std::map<Key, Known> KnownOf(const Index& index, std::vector<Key>& order) {
  std::map<Key, Known> out;
  for (IndexedContent& c : index.Contents()) {
    const auto [at, added] = out.try_emplace(KeyOf(c.package), Known{c.package, {}});
    if (added) order.push_back(at->first);
    for (IndexedFile& f : c.files)
      if ((f.allowances & kFurtherDigest) == 0) at->second.files.emplace_back(std::move(f.path), f.digest);
  }
  for (auto& [key, known] : out)
    std::sort(known.files.begin(), known.files.end(), [](const auto& a, const auto& b) {
      return std::tie(a.first, a.second) < std::tie(b.first, b.second);
    });
  return out;
}

// What is said of a version besides that it is superseded.
Standing Said(const IndexedPackage& p) {
  const Standing judged = p.Judged();
  return judged == Standing::kSuperseded ? Standing::kGood : judged;
}

}  // namespace

IndexDiff Compare(const Index& before, const Index& now) {
  std::vector<Key> order_before;
  std::vector<Key> order_now;
  const std::map<Key, Known> old = KnownOf(before, order_before);
  const std::map<Key, Known> present = KnownOf(now, order_now);
  IndexDiff diff;
  for (const Key& key : order_now) {
    const Known& here = present.at(key);
    const auto there = old.find(key);
    const bool was_present = there != old.end() && there->second.package.since_ms == 0;
    if (here.package.since_ms == 0 && !was_present) diff.added.push_back(here.package);
    if (here.package.since_ms != 0 && was_present) diff.retired.push_back(here.package);
    if (there == old.end()) continue;
    if (there->second.files != here.files) diff.changed.push_back(here.package);
    if (Said(there->second.package) != Said(here.package))
      diff.standing.push_back({here.package, Said(there->second.package)});
  }
  for (const Key& key : order_before)
    if (!present.contains(key)) diff.gone.push_back(old.at(key).package);
  return diff;
}

}  // namespace assay::reference
