// Whether one policy measures all that another one does.
#include <algorithm>

#include "measure/policy/policy.h"

namespace assay::measure {
namespace {

using Line = Policy::Line;

// Whatever the narrow rule fits, the wide one fits as well: each of its conditions stands in the narrow one.
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

// For each rule of the other one that measures there must be one here that covers it, with no exception
// before it but those that the other one makes there as well. What that rule of the other one decides comes
// to this one then, or to an earlier one that measures.
bool Policy::AtLeast(const Policy& other) const {
  std::vector<const Line*> theirs;  // the other one's exceptions so far
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
