#include "cli/scrub.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/json_dump.h"
#include "base/process.h"

namespace assay::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLine = 4096;
constexpr std::string_view kWithheld = "(withheld)";
constexpr std::array<std::string_view, 5> kSecretWords{"pass", "secret", "token", "pin", "credential"};
// The names that members of assayd.json(5) may have for values.
constexpr std::array<std::string_view, 30> kKnownValues{
    "embedded", "ecc",        "rsa",  "none",          "namespace", "host",        "best",   "lsm",
    "fanotify", "kernel-ima", "off",  "learn",         "enforce",   "allow",       "refuse", "quote",
    "list",     "full",       "cap",  "halt",          "debug",     "info",        "warn",   "error",
    "default",  "all_files",  "exec", "configuration", "tcb",       "appraise_tcb"};

bool IsKnownForm(const std::string& text) {
  if (std::find(kKnownValues.begin(), kKnownValues.end(), text) != kKnownValues.end()) return true;
  if (text.starts_with('/') || text.starts_with("device:/dev/")) return true;
  static const std::regex address(R"(^[0-9a-fA-F.:%\[\]]+:[0-9]{1,5}$)");
  static const std::regex ending(R"(^\.[a-z_]{1,8}$)");
  constexpr std::size_t kShort = 64;
  return text.size() < kShort && (std::regex_match(text, address) || std::regex_match(text, ending));
}

bool NamesSecret(std::string_view name) {
  if (name.ends_with("_file")) return false;
  return std::any_of(kSecretWords.begin(), kSecretWords.end(),
                     [&](std::string_view word) { return name.find(word) != std::string_view::npos; });
}

// Takes away what may be a secret in a value; name: of the member that has it.
void Withhold(json& value, std::string_view name, std::size_t& withheld) {
  if (value.is_object()) {
    for (auto& [key, member] : value.items()) Withhold(member, key, withheld);
  } else if (value.is_array()) {
    for (json& element : value) Withhold(element, name, withheld);
  } else if (NamesSecret(name) || (value.is_string() && !IsKnownForm(value.get_ref<const std::string&>()))) {
    value = std::string(kWithheld);
    ++withheld;
  }
}

}  // namespace

std::string Scrubber::Line(std::string line) {
  if (line.size() > kMaxLine) line.resize(kMaxLine);
  const std::string before = line;
  if (in_pem_ || line.find("-----BEGIN") != std::string::npos) {
    const std::size_t begin = in_pem_ ? 0 : line.find("-----BEGIN");
    const std::size_t end = line.find("-----END");
    in_pem_ = end == std::string::npos;
    if (in_pem_ && begin == 0) return "";
    line = line.substr(0, begin) + std::string(kWithheld);
  }
  for (const std::string& secret : secrets_) {
    if (secret.size() < kShortest) continue;
    for (std::size_t at = 0; (at = line.find(secret, at)) != std::string::npos; at += kWithheld.size())
      line.replace(at, secret.size(), kWithheld);
  }
  static const std::regex named(
      R"re(((?:pass(?:word|phrase|wd)?|secret|token|credential)s?["']?\s*[:=]\s*["']?)([^\s"',;]+))re",
      std::regex::icase);
  static const std::regex in_address(R"(://[^/\s:@]+:[^/\s@]+@)");
  static const std::regex quoted(R"(last read: '.*')");
  line = std::regex_replace(line, named, "$1(withheld)");
  line = std::regex_replace(line, in_address, "://(withheld)@");
  line = std::regex_replace(line, quoted, "last read: (withheld)");
  if (line != before) ++withheld_;
  return line + "\n";
}

std::string Scrubber::Text(std::string_view text) {
  in_pem_ = false;
  std::string out;
  EachLine(text, [&](std::string_view line) { out += Line(std::string(line)); });
  return out;
}

std::string Scrubber::Configuration(std::string_view text) {
  constexpr bool kThrow = false, kComments = true;
  json value = json::parse(text, nullptr, kThrow, kComments);
  if (value.is_discarded()) return "";
  Withhold(value, "", withheld_);
  return Text(DumpJson(value, 1));
}

}  // namespace assay::cli
