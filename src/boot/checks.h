// Inside this room: the pieces of Check() (examine.h), in two files.
//
//   // given: const Examined& x
//   Problems problems;
//   CheckSeparators(x, problems);
//   const std::vector<Problem> found = problems.Take();
//
// Contract: problems with the same name and text become one problem with all their events. Problems stand in
// the order in which they were first found.
#pragma once

#include <map>
#include <utility>

#include "boot/examine.h"

namespace assay::boot {

class Problems {
 public:
  void Add(std::string name, Severity severity, std::string text, std::vector<std::uint64_t> events) {
    const auto [it, is_new] = places_.try_emplace({name, text}, list_.size());
    if (is_new) {
      list_.push_back({std::move(name), severity, std::move(text), std::move(events)});
    } else {
      Problem& p = list_[it->second];
      p.events.insert(p.events.end(), events.begin(), events.end());
    }
  }
  std::vector<Problem> Take() { return std::move(list_); }

 private:
  std::vector<Problem> list_;
  std::map<std::pair<std::string, std::string>, std::size_t> places_;  // by name and text
};

void CheckSeparators(const Examined& x, Problems& out);
void CheckSecureBoot(const Examined& x, Problems& out);
void CheckActions(const Examined& x, Problems& out);

}  // namespace assay::boot
