#include "reference/version_order.h"

#include <apt-pkg/debversion.h>

#include <algorithm>

namespace assay::reference {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes the digits, or the letters, that the text begins with.
std::string_view TakeRun(std::string_view& text, bool digits) {
  const auto ends = [&](char c) { return digits ? !IsDigit(c) : !IsLetter(c); };
  const auto size = static_cast<std::size_t>(std::find_if(text.begin(), text.end(), ends) - text.begin());
  const std::string_view run = text.substr(0, size);
  text.remove_prefix(size);
  return run;
}

int CompareNumbers(std::string_view a, std::string_view b) {
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  return a.size() != b.size() ? (a.size() < b.size() ? -1 : 1) : a.compare(b);
}

void SkipSeparators(std::string_view& text) {
  const auto matters = [](char c) { return IsDigit(c) || IsLetter(c) || c == '~' || c == '^'; };
  text.remove_prefix(
      static_cast<std::size_t>(std::find_if(text.begin(), text.end(), matters) - text.begin()));
}

// A version without epoch and release, or a release. A tilde is before the end of a text, a circumflex after
// the end and before all else; a number is newer than letters.
int CompareParts(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    SkipSeparators(a);
    SkipSeparators(b);
    const bool tilde_a = a.starts_with('~'), tilde_b = b.starts_with('~');
    const bool mark_a = a.starts_with('^'), mark_b = b.starts_with('^');
    if (tilde_a != tilde_b) return tilde_a ? -1 : 1;
    if (mark_a != mark_b) {
      if (mark_a) return b.empty() ? 1 : -1;
      return a.empty() ? -1 : 1;
    }
    if (tilde_a || mark_a) {
      a.remove_prefix(1);
      b.remove_prefix(1);
      continue;
    }
    if (a.empty() || b.empty()) break;
    const bool digits = IsDigit(a.front());
    const std::string_view run_a = TakeRun(a, digits), run_b = TakeRun(b, digits);
    if (run_b.empty()) return digits ? 1 : -1;
    if (const int order = digits ? CompareNumbers(run_a, run_b) : run_a.compare(run_b); order != 0)
      return order;
  }
  return a.empty() == b.empty() ? 0 : a.empty() ? -1 : 1;
}

struct Parts {
  std::string_view epoch, version, release;
};
Parts PartsOf(std::string_view text) {
  Parts out;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits < text.size() && text[digits] == ':') {
    out.epoch = text.substr(0, digits);
    text.remove_prefix(digits + 1);
  }
  const std::size_t dash = text.rfind('-');
  out.version = text.substr(0, dash);
  if (dash != std::string_view::npos) out.release = text.substr(dash + 1);
  return out;
}

}  // namespace

int CompareVersions(std::string_view a, std::string_view b) {
  return debVS.DoCmpVersion(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

int CompareRpmVersions(std::string_view a, std::string_view b) {
  const Parts left = PartsOf(a), right = PartsOf(b);
  if (const int order = CompareNumbers(left.epoch, right.epoch); order != 0) return order;
  if (const int order = CompareParts(left.version, right.version); order != 0) return order;
  return CompareParts(left.release, right.release);
}

}  // namespace assay::reference
