#include "reference/changelog.h"

#include <algorithm>
#include <optional>

#include "base/process.h"
#include "base/text.h"

namespace assay::reference {
namespace {

constexpr std::size_t kMaxVersion = 200;
constexpr std::string_view kCve = "CVE-";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
std::size_t Digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin());
}

// "openssl (3.0.11-1~deb12u2) bookworm-security; urgency=medium"
std::optional<std::string> VersionOf(std::string_view line) {
  if (line.empty() || line[0] == ' ' || line[0] == '\t') return std::nullopt;
  const std::size_t open = line.find(" (");
  const std::size_t close = open == std::string_view::npos ? open : line.find(") ", open);
  if (close == std::string_view::npos || line.find(';', close) == std::string_view::npos) return std::nullopt;
  const std::string_view version = line.substr(open + 2, close - open - 2);
  if (version.empty() || version.size() > kMaxVersion || !IsPrintableAscii(version) ||
      version.find(' ') != std::string_view::npos)
    return std::nullopt;
  return std::string(version);
}

void TakeCves(std::string_view line, std::vector<std::string>& cves) {
  for (std::size_t at = line.find(kCve); at != std::string_view::npos; at = line.find(kCve, at + 1)) {
    const std::string_view rest = line.substr(at + kCve.size());
    constexpr std::size_t kYear = 4, kLeast = 4, kMost = 9;
    if (Digits(rest) != kYear || rest.size() <= kYear || rest[kYear] != '-') continue;
    const std::size_t number = Digits(rest.substr(kYear + 1));
    if (number < kLeast || number > kMost || cves.size() >= kMaxChangelogCves) continue;
    cves.emplace_back(line.substr(at, kCve.size() + kYear + 1 + number));
  }
}

}  // namespace

std::vector<ChangelogEntry> ParseChangelog(std::string_view text) {
  std::vector<ChangelogEntry> out;
  EachLine(text, [&](std::string_view line) {
    if (std::optional<std::string> version = VersionOf(line); version && out.size() < kMaxChangelogEntries)
      out.push_back({std::move(*version), {}});
    else if (!version && !out.empty())
      TakeCves(line, out.back().cves);
  });
  for (ChangelogEntry& e : out) {
    std::sort(e.cves.begin(), e.cves.end());
    e.cves.erase(std::unique(e.cves.begin(), e.cves.end()), e.cves.end());
  }
  return out;
}

}  // namespace assay::reference
