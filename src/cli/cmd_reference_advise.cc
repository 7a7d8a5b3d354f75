// Advisories for reference values: read from feeds, applied to an index. man/assay-reference.1
#include <fmt/core.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>

#include "appraise/result.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/cmd_reference.h"

namespace assay::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kNamed = 20;
constexpr std::size_t kMaxKey = 64 << 10;
constexpr std::uint64_t kForEver = 1'000'000;  // days

struct AdviseOptions {
  FeedArguments feeds;
  std::string index, key;
};

json FailedJson(const std::vector<reference::UnreadFeed>& failed) {
  json list = json::array();
  for (const reference::UnreadFeed& f : failed)
    list.push_back({{"file", f.path}, {"code", f.error.code()}, {"message", f.error.Message()}});
  return list;
}

void SayUnread(const std::vector<reference::UnreadFeed>& failed) {
  for (std::size_t i = 0; i < std::min(failed.size(), kNamed); ++i)
    fmt::print(stderr, "  {}: {}\n", failed[i].path, failed[i].error.Message());
  if (failed.size() > kNamed) fmt::print(stderr, "  and {} more\n", failed.size() - kNamed);
  if (!failed.empty())
    fmt::print(stderr, "assay: {} file(s) of advisories could not be read; what they say is not known\n",
               failed.size());
}

// The vulnerable packages: those of present versions first.
json SayVulnerable(const reference::Index& index, bool as_json) {
  json list = json::array();
  std::size_t present = 0;
  for (const bool superseded : {false, true}) {
    for (const reference::IndexedPackage& p : index.Packages()) {
      if (p.advisory_count == 0 || (p.since_ms != 0) != superseded) continue;
      list.push_back({{"package", p.package},
                      {"version", p.version},
                      {"architecture", p.architecture},
                      {"superseded", superseded},
                      {"advisories", appraise::ToJson(p.advisories)}});
      if (superseded || as_json) continue;
      if (++present <= kNamed)
        fmt::print("{} {}: {}\n", p.package, p.version,
                   appraise::AdvisoriesText(p.advisories, p.advisory_count));
    }
  }
  if (present > kNamed) fmt::print("and {} more\n", present - kNamed);
  if (!as_json)
    fmt::print("{} package(s) are vulnerable, {} of them superseded versions\n", list.size(),
               list.size() - present);
  return list;
}

Result<int> Advise(const AdviseOptions& o, const Session& session) {
  if (o.feeds.advisories.empty() && o.feeds.deny.empty())
    return Fail(UsageError("reference advise: name feeds of advisories, or deny lists (--deny)"));
  reference::Builder builder;
  json report = json::object();
  ASSAY_ASSIGN(const std::uint64_t now, BuildTimeMs());
  {
    ASSAY_ASSIGN(const std::unique_ptr<reference::Index> index, reference::Index::Open(o.index));
    builder.AddFormer(*index, reference::Builder::Former::kOfAdded, now, kForEver);
  }
  ASSAY_ASSIGN(const bool whole, UseFeeds(o.feeds, builder, report));
  ASSAY_TRY(builder.Write(o.index));
  ASSAY_TRY(SignNew(o.index, o.key));
  ASSAY_ASSIGN(const std::unique_ptr<reference::Index> index, reference::Index::Open(o.index));
  report["vulnerable"] = SayVulnerable(*index, session.json);
  report["sha256"] = index->ContentDigest().hex();
  if (session.json) session.Answer(report);
  return whole ? kExitOk : kExitIncomplete;
}

}  // namespace

void AddFeedOptions(Command command, FeedArguments& feeds) {
  command.AddOption("--release", feeds.release,
                    "The release that the packages are of: bookworm, Debian:12, Ubuntu:24.04");
  command.AddOption("--deny", feeds.deny, "Deny lists: digests and packages that must not run anywhere");
  command.AddFlag("--unfixed", feeds.unfixed, "Take advisories too that no version has fixed");
}

Result<bool> UseFeeds(const FeedArguments& feeds, reference::Builder& builder, json& report) {
  if (feeds.changelogs) builder.UseChangelogs();
  if (!feeds.deny.empty()) {
    std::vector<reference::DenyEntry> denied;
    for (const std::string& path : feeds.deny) {
      ASSAY_ASSIGN(const Bytes text, ReadFile(path, reference::kMaxDenyList));
      Result<std::vector<reference::DenyEntry>> list = reference::ParseDenyList(AsText(text));
      if (!list) return Fail(list.error().In(path));
      std::move(list->begin(), list->end(), std::back_inserter(denied));
    }
    report["denied"] = denied.size();
    builder.Deny(std::move(denied));
  }
  if (feeds.advisories.empty()) return true;
  ASSAY_ASSIGN(const reference::Release release, reference::ReleaseOf(feeds.release));
  ASSAY_ASSIGN(reference::AdvisoryFeed feed,
               reference::ReadAdvisories(feeds.advisories, {.release = release, .unfixed = feeds.unfixed}));
  SayUnread(feed.failed);
  fmt::print(stderr,
             "assay: {} file(s) have {} advisories for {}; left out are {} that no version has fixed, and {} "
             "that the distribution calls unimportant\n",
             feed.files, feed.entries.size(), release.ecosystem, feed.unfixed, feed.minor);
  if (feed.not_understood > 0)
    fmt::print(stderr, "assay: {} statement(s) of other kinds are left out\n", feed.not_understood);
  report["advisories"] = {{"release", release.ecosystem},     {"files", feed.files},
                          {"entries", feed.entries.size()},   {"unfixed", feed.unfixed},
                          {"unimportant", feed.minor},        {"not_understood", feed.not_understood},
                          {"failed", FailedJson(feed.failed)}};
  const bool whole = feed.failed.empty();
  builder.UseAdvisories(std::move(feed.entries));
  return whole;
}

Result<std::uint64_t> BuildTimeMs() {
  const char* text = getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr) return NowMs();
  const std::string_view digits(text);
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  if (error != std::errc() || end != digits.data() + digits.size() || seconds > UINT32_MAX)
    return Fail(UsageError("SOURCE_DATE_EPOCH is not a number of seconds"));
  return seconds * 1000;
}

Result<> SignNew(const std::string& index, const std::string& key_file) {
  if (!key_file.empty()) {
    ASSAY_ASSIGN(const Bytes pem, ReadFile(key_file, kMaxKey));
    ASSAY_ASSIGN(const PrivateKey key, PrivateKey::FromPem(AsText(pem)));
    return reference::SignManifest(index, key);
  }
  if (access((index + ".sig").c_str(), F_OK) == 0)
    fmt::print(stderr, "assay: {}.sig is of the former index: sign it again ('assay reference sign')\n",
               index);
  return {};
}

void AddAdvise(Command reference, Session& session) {
  auto o = std::make_shared<AdviseOptions>();
  Command advise = reference.AddCommand("advise", "Mark what advisories and deny lists name");
  advise.AddOption(
      "feeds", o->feeds.advisories,
      "OSV records, CSAF documents, the security tracker's JSON, Debian's OVAL, or folders of them");
  advise.AddOption("--index", o->index, "The index, which is replaced").Required();
  AddFeedOptions(advise, o->feeds);
  advise.AddOption("--key", o->key, "Sign the index with this key (PEM)");
  advise.OnRun([o, &session] { session.Finish(Advise(*o, session)); });
}

}  // namespace assay::cli
