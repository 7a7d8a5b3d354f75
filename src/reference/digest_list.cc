#include "reference/digest_list.h"

#include <fmt/core.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "base/json_dump.h"
#include "base/process.h"
#include "reference/further_digests.h"
#include "reference/index.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "digest-list";
constexpr std::size_t kHex = 64;  // of SHA-256

Error Bad(std::size_t line, std::string_view what) {
  return ParseError(std::string(kFormat), line, fmt::format("line {}: {}", line, what));
}

std::string Lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
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

// Takes a digest that a list of parts gives with its algorithm.
Result<> TakeHash(const JsonValue& hash, const char* algorithm, const char* value, const std::string& path,
                  DigestList& out) {
  ASSAY_ASSIGN(const std::string name, hash.Str(algorithm));
  if (HashFromName(Lower(name)) != HashAlg::kSha256) {
    ++out.left_out;
    return {};
  }
  ASSAY_ASSIGN(const std::string hex, hash.Str(value));
  const Result<std::optional<Digest>> digest = DigestOfHex(hex);
  if (!digest || !*digest) return Fail(hash.Bad("no SHA-256 digest"));
  out.files.push_back({path, **digest});
  return {};
}

// "./usr/bin/ls" and "usr/bin/ls" as "/usr/bin/ls": SPDX's names are relative to what the document is of.
std::string BelowRoot(std::string_view name) {
  while (name.starts_with("./")) name.remove_prefix(2);
  return name.starts_with("/") ? std::string(name) : "/" + std::string(name);
}

// CycloneDX 1.x: components of the type "file", also those within other components.
Result<> TakeComponents(const JsonValue& of, DigestList& out) {
  if (!of.Has("components")) return {};
  ASSAY_ASSIGN(const JsonValue components, of.Array("components"));
  return components.Each([&](const JsonValue& c) -> Result<> {
    ASSAY_ASSIGN(const std::string type, c.Str("type"));
    if (type == "file" && c.Has("hashes")) {
      ASSAY_ASSIGN(const std::string name, c.Str("name"));
      ASSAY_ASSIGN(const JsonValue hashes, c.Array("hashes"));
      ASSAY_TRY(hashes.Each([&](const JsonValue& h) { return TakeHash(h, "alg", "content", name, out); }));
    }
    return TakeComponents(c, out);
  });
}

// SPDX 2.x: {"files": [{"fileName", "checksums": [{"algorithm", "checksumValue"}]}]}
Result<> TakeSpdx2(const JsonValue& root, DigestList& out) {
  if (!root.Has("files")) return {};
  ASSAY_ASSIGN(const JsonValue files, root.Array("files"));
  return files.Each([&](const JsonValue& f) -> Result<> {
    ASSAY_ASSIGN(const std::string name, f.Str("fileName"));
    ASSAY_ASSIGN(const JsonValue sums, f.Array("checksums"));
    return sums.Each(
        [&](const JsonValue& h) { return TakeHash(h, "algorithm", "checksumValue", BelowRoot(name), out); });
  });
}

// SPDX 3: {"@graph": [{"type": "software_File", "name", "verifiedUsing": [{"algorithm", "hashValue"}]}]}
Result<> TakeSpdx3(const JsonValue& root, DigestList& out) {
  ASSAY_ASSIGN(const JsonValue graph, root.Array("@graph"));
  return graph.Each([&](const JsonValue& e) -> Result<> {
    if (!e.is_object() || !e.Has("type") || !e.Has("verifiedUsing")) return {};
    ASSAY_ASSIGN(const std::string type, e.Str("type"));
    if (type != "software_File") return {};
    ASSAY_ASSIGN(const std::string name, e.Str("name"));
    ASSAY_ASSIGN(const JsonValue hashes, e.Array("verifiedUsing"));
    return hashes.Each([&](const JsonValue& h) -> Result<> {
      if (!h.is_object() || !h.Has("hashValue")) return {};  // verified by other means
      return TakeHash(h, "algorithm", "hashValue", BelowRoot(name), out);
    });
  });
}

Result<> TakeJson(const JsonValue& root, DigestList& out) {
  if (root.Has("bomFormat")) return TakeComponents(root, out);
  if (root.Has("spdxVersion")) return TakeSpdx2(root, out);
  if (root.Has("@graph")) return TakeSpdx3(root, out);
  return TakePolicy(root, out);
}

// What is present, by path: the digests of all packages that have a file there, the latest version of one
// last.
std::map<std::string, std::vector<std::string>> Present(const Index& index) {
  std::map<std::string, std::vector<std::string>> out;
  for (const IndexedContent& c : index.Contents())
    for (const IndexedFile& f : c.files)
      if (c.package.since_ms == 0 && (f.allowances & kFurtherDigest) == 0 &&
          index.Contains(f.digest))  // what is revoked is in no list
        out[f.path].push_back(f.digest.hex());
  return out;
}

}  // namespace

Result<DigestList> ParseDigestList(std::string_view text) {
  DigestList out;
  if (const std::size_t first = text.find_first_not_of(" \t\r\n");
      first != std::string_view::npos && text[first] == '{') {
    ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, kFormat, kMaxDigestList));
    ASSAY_TRY(TakeJson(doc.root(), out));
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
