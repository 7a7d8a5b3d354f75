// The word that a person has probably meant, for an error about an unknown one.
//
//   // given: std::string_view word
//   if (const std::string_view meant = Nearest(word, {"certificate", "listen"}); !meant.empty())
//     return Fail(UsageError("did you mean '" + std::string(meant) + "'?"));
//
// Contract: returns the candidate with the fewest inserted, removed, changed or swapped letters. It is empty
// if these are more than a third of the word. Case does not count.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

namespace assay {

std::string_view Nearest(std::string_view word, std::span<const std::string_view> candidates);
inline std::string_view Nearest(std::string_view word, std::initializer_list<std::string_view> candidates) {
  return Nearest(word, std::span(candidates.begin(), candidates.size()));
}

}  // namespace assay
