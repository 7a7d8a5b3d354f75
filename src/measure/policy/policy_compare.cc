// Decides whether one policy measures everything that another one measures.
#include <algorithm>

#include "measure/policy/policy.h"

namespace assay::measure {
namespace {

using Line = Policy::Line;

// Whether the wide rule matches everything that the narrow one matches, because each of its conditions is
// also in the narrow one.
bool Covers(const Line& wide, const Line& narrow) {
  if (wide.func && wide.func != narrow.func) return false;
  if (wide.access != 0 && (wide.access != narrow.access || wide.any_of != narrow.any_of)) return false;
  return std::all_of(wide.conditions.begin(), wide.conditions.end(), [&](const Policy::Condition& c) {
    return std::find(narrow.conditions.begin(), narrow.conditions.end(), c) != narrow.conditions.end();
  });
}

bool Any(const std::vector<const Line*>& lines, bool (*covers)(const Line&, const Line&), const Line& one) {
  return std::any_of(lines.begin(), lines.end(), [&](const Line* l) { return covers(*l, one); });
}

}  // namespace

// For each measure rule of the other policy, this policy must have a rule that covers it. Before that rule
// this policy may only have exceptions that the other policy also has before its rule. Everything that the
// other policy's rule measures then reaches the rule here, or an earlier measure rule.
bool Policy::AtLeast(const Policy& other) const {
  std::vector<const Line*> theirs;  // the exceptions of the other policy so far
  for (const Line& wanted : other.lines_) {
    if (wanted.action != Action::kMeasure) continue;
    if (wanted.dont) {
      theirs.push_back(&wanted);
      continue;
    }
    bool found = false;
    for (const Line& line : lines_) {
      if (line.action != Action::kMeasure) continue;
      if (line.dont && !Any(theirs, Covers, line)) break;
      found = !line.dont && Covers(line, wanted);
      if (found) break;
    }
    if (!found) return false;
  }
  return true;
}

}  // namespace assay::measure
