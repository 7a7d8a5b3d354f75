#include "reference/digest_list.h"

#include <fmt/core.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "base/json_dump.h"
#include "base/process.h"
#include "reference/index.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "digest-list";
constexpr std::size_t kHex = 64;  // of SHA-256

Error Bad(std::size_t line, std::string_view what) {
  return ParseError(std::string(kFormat), line, fmt::format("line {}: {}", line, what));
}

Result<std::optional<Digest>> DigestOfHex(std::string_view hex) {
  ASSAY_ASSIGN(const Bytes bytes, FromHex(hex));
  if (hex.size() != kHex) return std::optional<Digest>();
  ASSAY_ASSIGN(const Digest digest, Digest::Of(HashAlg::kSha256, bytes));
  return std::optional<Digest>(digest);
}

// sha256sum writes a backslash before the line, and escapes in the name, where the name has a backslash or a
// line break (coreutils, src/digest.c).
Result<std::string> Unescaped(std::string_view name, std::size_t line) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\') {
      out += name[i];
      continue;
    }
    const char next = i + 1 < name.size() ? name[i + 1] : ' ';
    if (next != '\\' && next != 'n' && next != 'r') return Fail(Bad(line, "an escape that is none"));
    out += next == 'n' ? '\n' : next == 'r' ? '\r' : '\\';
    ++i;
  }
  return out;
}

std::string Escaped(const std::string& path) {
  if (path.find_first_of("\\\n\r") == std::string::npos) return path;
  std::string out;
  for (const char c : path)
    out += c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : std::string(1, c);
  return out;
}

Result<> TakeLine(std::string_view line, std::size_t number, DigestList& out) {
  if (line.empty() || line[0] == '#') return {};
  const bool escaped = line[0] == '\\';
  if (escaped) line.remove_prefix(1);
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank + 2 >= line.size() ||
      (line[blank + 1] != ' ' && line[blank + 1] != '*'))
    return Fail(Bad(number, "not a digest, two blanks and a name"));
  std::string path(line.substr(blank + 2));
  if (escaped) {
    ASSAY_ASSIGN(path, Unescaped(path, number));
  }
  Result<std::optional<Digest>> digest = DigestOfHex(line.substr(0, blank));
  if (!digest) return Fail(Bad(number, digest.error().Message()));
  if (*digest)
    out.files.push_back({std::move(path), **digest});
  else
    ++out.left_out;
  return {};
}

// {"digests": {path: [hex, ...]}}; other members say nothing of content.
Result<> TakePolicy(const JsonValue& root, DigestList& out) {
  ASSAY_ASSIGN(const JsonValue digests, root.Object("digests"));
  return digests.EachMember([&](std::string_view path, const JsonValue& list) -> Result<> {
    return list.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(const std::string hex, v.AsStr());
      Result<std::optional<Digest>> digest = DigestOfHex(hex);
      if (!digest) return Fail(v.Bad(digest.error().Message()));
      if (*digest)
        out.files.push_back({std::string(path), **digest});
      else
        ++out.left_out;
      return {};
    });
  });
}

// What is present, by path: the digests of all packages that have a file there, the latest version of one
// last.
std::map<std::string, std::vector<std::string>> Present(const Index& index) {
  std::map<std::string, std::vector<std::string>> out;
  for (const IndexedContent& c : index.Contents())
    for (const IndexedFile& f : c.files)
      if (c.package.since_ms == 0 && index.Contains(f.digest))  // what is revoked is in no list
        out[f.path].push_back(f.digest.hex());
  return out;
}

}  // namespace

Result<DigestList> ParseDigestList(std::string_view text) {
  DigestList out;
  if (const std::size_t first = text.find_first_not_of(" \t\r\n");
      first != std::string_view::npos && text[first] == '{') {
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, kFormat, kMaxDigestList));
    ASSAY_TRY(TakePolicy(doc.root(), out));
    return out;
  }
  Result<> read;
  std::size_t number = 0;
  EachLine(text, [&](std::string_view line) {
    ++number;
    if (read) read = TakeLine(line, number, out);
  });
  if (!read) return Fail(read.error());
  return out;
}

std::string Sha256SumsOf(const Index& index) {
  std::string out;
  for (const auto& [path, digests] : Present(index)) {
    const std::string name = Escaped(path);
    out +=
        fmt::format("{}{}  {}\n", name == path ? "" : "\\", digests.back(), name);  // a path has one content
  }
  return out;
}

std::string KeylimePolicyOf(const Index& index) {
  nlohmann::json digests = nlohmann::json::object();
  for (const auto& [path, hexes] : Present(index))
    digests[appraise::NormalisePath(path)] = std::set<std::string>(hexes.begin(), hexes.end());
  const nlohmann::json policy = {
      {"meta", {{"version", 1}, {"generator", 0}}},
      {"release", 0},
      {"digests", std::move(digests)},
      {"excludes", nlohmann::json::array()},
      {"keyrings", nlohmann::json::object()},
      {"ima",
       {{"ignored_keyrings", nlohmann::json::array()}, {"log_hash_alg", "sha256"}, {"dm_policy", nullptr}}},
      {"ima-buf", nlohmann::json::object()},
      {"verification-keys", ""}};
  return DumpJson(policy, 1) + "\n";
}

}  // namespace assay::reference
