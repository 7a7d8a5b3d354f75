#include "reference/apt_hook.h"

#include "base/process.h"

namespace assay::reference {
namespace {

constexpr std::string_view kVersion = "VERSION 3";

}  // namespace

// The version, apt's configuration, an empty line, then for each package: name, old version, its architecture
// and multi-arch, < or > or =, new version, its architecture and multi-arch, and the file (or **REMOVE**,
// **CONFIGURE**).
Result<std::vector<std::string>> ParseAptHook(std::string_view text) {
  if (text.size() > kMaxAptHook) return Fail(ParseError("apt-hook", kMaxAptHook, "too large"));
  if (text.substr(0, text.find('\n')) != kVersion)
    return Fail(ParseError("apt-hook", 0, "not version 3 of apt's protocol"));
  const std::size_t blank = text.find("\n\n");
  if (blank == std::string_view::npos)
    return Fail(ParseError("apt-hook", text.size(), "no empty line after apt's configuration"));
  std::vector<std::string> files;
  bool bad = false;
  EachLine(text.substr(blank + 2), [&](std::string_view line) {
    constexpr int kFieldsBeforeFile = 8;
    std::string_view rest = line;
    for (int i = 0; i < kFieldsBeforeFile; ++i) {
      const std::size_t space = rest.find(' ');
      bad = bad || space == std::string_view::npos;
      rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    }
    if (rest.starts_with('/')) files.emplace_back(rest);
    bad = bad || (!rest.starts_with('/') && !rest.starts_with("**"));
  });
  if (bad) return Fail(ParseError("apt-hook", blank + 2, "a package's line has not nine fields"));
  return files;
}

}  // namespace assay::reference
