#include "appraise/trusted.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "appraise/errors.h"
#include "base/detached.h"
#include "base/fd.h"
#include "base/json_members.h"
#include "list/list.h"

namespace assay::appraise {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kMaxText = 4096;

constexpr auto kEntry = [](auto& visit, auto& e) {
  visit("digest", e.digest);
  visit("path", e.path);
  visit("who", e.who);
  visit("why", e.why);
  visit("when_ms", e.when_ms);
  visit("expires_ms", e.expires_ms);
};

constexpr auto kList = [](auto& visit, auto& l) {
  visit.Constant("version", kVersion);
  visit("entries", l.entries, JsonList{kEntry, kMaxTrusted});
};

Result<> Check(const TrustedList& list) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (std::size_t i = 0; i < list.entries.size(); ++i) {
    const TrustedEntry& e = list.entries[i];
    const auto bad = [&](std::string_view what) {
      return Fail(ParseError("trusted", 0, fmt::format("/entries/{}: {}", i, what)));
    };
    if (!ima::ParseFileDigest(e.digest)) return bad("not a digest as 'sha256:' and lower-case hex");
    if (e.who.empty()) return bad("nobody is named (who)");
    if (e.why.empty()) return bad("no reason is given (why)");
    if (std::max({e.path.size(), e.who.size(), e.why.size()}) > kMaxText) return bad("a text is too long");
    if (!seen.emplace(e.digest, e.path).second) return bad("this digest is there twice for this path");
  }
  return {};
}

}  // namespace

Result<TrustedList> ParseTrusted(std::string_view json) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(json, "trusted", kMaxTrustedList));
  TrustedList list;
  ASSAY_TRY(ReadMembers(kList, doc.root(), list));
  ASSAY_TRY(Check(list));
  return list;
}

std::string EncodeTrusted(const TrustedList& list) { return DumpJson(WriteMembers(kList, list), 1) + "\n"; }

Result<> WriteTrusted(const std::string& path, const TrustedList& list, const PrivateKey& key) {
  const std::string text = EncodeTrusted(list);
  ASSAY_TRY(ParseTrusted(text));  // only a list that can be read is written
  ASSAY_TRY(WriteFileAtomic(path, AsBytes(text), 0644));
  return SignBeside(path, AsBytes(text), key);
}

Result<TrustedList> ReadTrusted(const std::string& path, std::span<const PublicKey> keys) {
  if (keys.empty())
    return Fail(StateError(TrustedError::kNoKey, path + ": no key is named that may sign this list"));
  ASSAY_ASSIGN(const Bytes text, ReadFile(path, kMaxTrustedList));
  ASSAY_ASSIGN(const Bytes signature, SignatureBeside(path));
  if (std::none_of(keys.begin(), keys.end(),
                   [&](const PublicKey& key) { return VerifySignature(text, signature, key).has_value(); }))
    return Fail(StateError(TrustedError::kSignature, path + " is not signed by the owner's key"));
  Result<TrustedList> list = ParseTrusted(AsText(text));
  if (!list) return Fail(list.error().In(path));
  return list;
}

}  // namespace assay::appraise
