// The owner's trusted list: adds content to it, takes content from it, shows it. man/assay-trust.1
#include <fcntl.h>
#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>

#include "appraise/finding_names.h"
#include "appraise/trusted.h"
#include "base/clock.h"
#include "base/digest_text.h"
#include "base/fd.h"
#include "base/hash_fd.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/verifier.h"
#include "list/list.h"
#include "measure/policy/configuration.h"
#include "measure/policy/policy.h"

namespace assay::cli {
namespace {

using appraise::FindingName;
using appraise::TrustedEntry;
using appraise::TrustedList;
using nlohmann::json;

constexpr std::size_t kMaxResult = std::size_t{64} << 20;  // bytes of a result as JSON

struct TrustOptions {
  std::vector<std::string> what;  // files and digests
  std::string list, key, why, who, time, path, findings, match;
  bool anywhere = false, expired = false;
};

struct Content {
  std::string digest, path;
};

// "30d", "12h", "8w"; milliseconds.
Result<std::uint64_t> ParseTime(const std::string& text) {
  constexpr std::size_t kMaxDigits = 6;
  const std::size_t digits = text.find_first_not_of("0123456789");
  const std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  const std::uint64_t each = unit == "h" ? kDayMs / 24 : unit == "d" ? kDayMs : unit == "w" ? 7 * kDayMs : 0;
  if (digits == 0 || digits > kMaxDigits || each == 0)
    return Fail(UsageError("--for: a number and h, d or w (30d), not '" + text + "'"));
  return std::stoull(text.substr(0, digits)) * each;
}

std::string UserName() {
  if (const char* sudo = std::getenv("SUDO_USER"); sudo != nullptr && *sudo != '\0') return sudo;
  const passwd* user = getpwuid(getuid());
  return user != nullptr ? user->pw_name : fmt::format("user {}", getuid());
}

// A digest as it stands ("sha256:..." or 64 digits), else the digest of a file.
Result<Content> ContentOf(const std::string& what) {
  if (what.find('/') == std::string::npos) {
    if (ima::ParseFileDigest(what)) return Content{what, ""};
    if (ParseDigest("sha256:" + what)) return Content{"sha256:" + what, ""};
  }
  ASSAY_ASSIGN(const UniqueFd fd, Open(what, O_RDONLY));
  Result<Digest> digest = HashFd(fd.get(), HashAlg::kSha256);
  if (!digest) return Fail(digest.error().In("reading " + what));
  return Content{digest->ToString(), ""};
}

// Findings that the owner's word can settle: others are about the attester, or say that content is bad.
bool CanBeTrusted(std::string_view name) {
  constexpr FindingName kThese[] = {FindingName::kEntryUnknown,       FindingName::kEntryChanged,
                                    FindingName::kEntrySwapped,       FindingName::kEntryMisplaced,
                                    FindingName::kEntryConfiguration, FindingName::kEntryNotComparable};
  return std::any_of(std::begin(kThese), std::end(kThese),
                     [&](FindingName f) { return appraise::NameText(f) == name; });
}

struct FromFindings {
  std::vector<Content> contents;
  std::size_t others = 0;  // findings that are not taken
};

// From `assay --json attest`, or from a host's state.
Result<FromFindings> ReadFindings(const TrustOptions& o) {
  Result<Bytes> text =
      o.findings == "-" ? ReadAll(STDIN_FILENO, kMaxResult) : ReadFile(o.findings, kMaxResult);
  if (!text) return Fail(text.error());
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(*text), "result", kMaxResult));
  ASSAY_ASSIGN(const JsonValue findings,
               doc.root().Array(doc.root().Has("standing") ? "standing" : "findings"));
  FromFindings out;
  ASSAY_TRY(findings.Each([&](const JsonValue& f) -> Result<> {
    ASSAY_ASSIGN(const std::string name, f.Str("name"));
    Content c;
    if (f.Has("digest")) {
      ASSAY_ASSIGN(c.digest, f.Str("digest"));
    }
    if (f.Has("path")) {
      ASSAY_ASSIGN(c.path, f.Str("path"));
    }
    // The owner's word is about the file, however it was read.
    if (const std::string_view file = measure::ConfigurationPath(c.path); !file.empty())
      c.path = std::string(file);
    if (!o.match.empty() && !measure::GlobMatches(o.match, c.path)) return {};
    if (!CanBeTrusted(name) || c.digest.empty())
      ++out.others;
    else
      out.contents.push_back(std::move(c));
    return {};
  }));
  return out;
}

Result<PrivateKey> OwnersKey(const TrustOptions& o) {
  if (o.key.empty()) return Fail(UsageError("the list must be signed: give the owner's private key (--key)"));
  ASSAY_ASSIGN(const std::string pem, ReadText(o.key, kMaxPemFile));
  return PrivateKey::FromPem(pem);
}

// The list as this key signed it; empty where there is none. A list that someone else signed is not extended.
Result<TrustedList> Present(const TrustOptions& o, const PrivateKey& key) {
  if (access(o.list.c_str(), F_OK) != 0) return TrustedList{};
  std::vector<PublicKey> keys;
  keys.push_back(key.Public());
  return appraise::ReadTrusted(o.list, keys);
}

json EntryJson(const TrustedEntry& e) {
  return {{"digest", e.digest}, {"path", e.path},       {"who", e.who},
          {"why", e.why},       {"when_ms", e.when_ms}, {"expires_ms", e.expires_ms}};
}

void Say(const char* did, const std::vector<TrustedEntry>& entries, const Session& session) {
  if (session.json) {
    json list = json::array();
    for (const TrustedEntry& e : entries) list.push_back(EntryJson(e));
    session.Answer({{did, list}});
    return;
  }
  const std::uint64_t now = NowMs();
  for (const TrustedEntry& e : entries)
    fmt::print("{} {}{}: {}, by {} on {}{}\n", did, e.digest,
               e.path.empty() ? "" : " at " + Printable(e.path), Printable(e.why), Printable(e.who),
               DateText(e.when_ms),
               e.expires_ms == 0
                   ? ""
                   : fmt::format(", {} {}", e.Expired(now) ? "expired on" : "until", DateText(e.expires_ms)));
}

Result<int> ShowList(const TrustOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::string text, ReadText(o.list, appraise::kMaxTrustedList));
  ASSAY_ASSIGN(const TrustedList list, appraise::ParseTrusted(text));
  Say("trusted", list.entries, session);
  return kExitOk;
}

Result<int> Trust(const TrustOptions& o, const Session& session) {
  if (o.what.empty() && o.findings.empty()) return ShowList(o, session);
  if (o.why.empty()) return Fail(UsageError("trust: say why (--why): a list without reasons helps nobody"));
  std::uint64_t expires = 0;
  const std::uint64_t now = NowMs();
  if (!o.time.empty()) {
    ASSAY_ASSIGN(const std::uint64_t time, ParseTime(o.time));
    expires = now + time;
  }
  ASSAY_ASSIGN(const PrivateKey key, OwnersKey(o));
  ASSAY_ASSIGN(TrustedList list, Present(o, key));
  std::vector<Content> contents;
  std::size_t others = 0;
  for (const std::string& what : o.what) {
    ASSAY_ASSIGN(Content c, ContentOf(what));
    c.path = o.path;
    contents.push_back(std::move(c));
  }
  if (!o.findings.empty()) {
    ASSAY_ASSIGN(FromFindings found, ReadFindings(o));
    for (Content& c : found.contents) {
      if (o.anywhere) c.path.clear();
      contents.push_back(std::move(c));
    }
    others = found.others;
  }
  std::vector<TrustedEntry> added;
  for (const Content& c : contents) {
    TrustedEntry entry{.digest = c.digest,
                       .path = c.path,
                       .who = o.who.empty() ? UserName() : o.who,
                       .why = o.why,
                       .when_ms = now,
                       .expires_ms = expires};
    // The newest word counts.
    std::erase_if(list.entries,
                  [&](const TrustedEntry& e) { return e.digest == c.digest && e.path == c.path; });
    std::erase_if(added, [&](const TrustedEntry& e) { return e.digest == c.digest && e.path == c.path; });
    list.entries.push_back(entry);
    added.push_back(std::move(entry));
  }
  if (!added.empty()) ASSAY_TRY(appraise::WriteTrusted(o.list, list, key));
  Say("trusted", added, session);
  if (others > 0)
    fmt::print(stderr, "assay: {} other findings can't be settled by trusting content\n", others);
  if (added.empty()) fmt::print(stderr, "assay: nothing was added\n");
  return kExitOk;
}

Result<int> Untrust(const TrustOptions& o, const Session& session) {
  if (o.what.empty() && !o.expired) return Fail(UsageError("untrust: name a file, a digest, or --expired"));
  ASSAY_ASSIGN(const PrivateKey key, OwnersKey(o));
  ASSAY_ASSIGN(TrustedList list, Present(o, key));
  std::vector<Content> contents;
  for (const std::string& what : o.what) {
    // A path of an entry names all its digests: the file may be gone or changed.
    const bool is_path = std::any_of(list.entries.begin(), list.entries.end(),
                                     [&](const TrustedEntry& e) { return e.path == what; });
    if (is_path) {
      contents.push_back({"", what});
      continue;
    }
    ASSAY_ASSIGN(Content c, ContentOf(what));
    contents.push_back(std::move(c));
  }
  const std::uint64_t now = NowMs();
  const auto goes = [&](const TrustedEntry& e) {
    return (o.expired && e.Expired(now)) ||
           std::any_of(contents.begin(), contents.end(), [&](const Content& c) {
             return c.digest.empty() ? e.path == c.path
                                     : e.digest == c.digest && (o.path.empty() || e.path == o.path);
           });
  };
  std::vector<TrustedEntry> gone;
  std::copy_if(list.entries.begin(), list.entries.end(), std::back_inserter(gone), goes);
  std::erase_if(list.entries, goes);
  if (!gone.empty()) ASSAY_TRY(appraise::WriteTrusted(o.list, list, key));
  Say("untrusted", gone, session);
  if (gone.empty()) fmt::print(stderr, "assay: the list has no such entry\n");
  return gone.empty() && !o.expired ? kExitNotTrusted : kExitOk;
}

void AddList(Command sub, TrustOptions& o) {
  sub.AddOption("what", o.what, "Files, or digests (sha256:...)");
  sub.AddOption("--trusted", o.list, "The owner's trusted list").Required();
  sub.AddOption("--key", o.key, "The owner's private key (PEM), which signs the list");
  sub.AddOption("--path", o.path, "Only at this path, as the list of a machine names it");
}

}  // namespace

void AddTrust(Command app, Session& session) {
  auto o = std::make_shared<TrustOptions>();
  Command trust =
      app.AddCommand("trust", "Add content to the owner's signed list; without content, show the list");
  AddList(trust, *o);
  trust.AddOption(
      "--from-findings", o->findings,
      "Take the content of the findings in this result (assay --json attest) or state file; -: stdin");
  trust.AddOption("--match", o->match, "Of the findings, only those whose path matches this glob");
  trust.AddFlag("--anywhere", o->anywhere, "Of the findings, trust the content at any path");
  trust.AddOption("--why", o->why, "The reason; must be given");
  trust.AddOption("--who", o->who, "Who trusts it; by default the user's name");
  trust.AddOption("--for", o->time, "How long it counts: 12h, 30d, 8w; by default for ever");
  trust.OnRun([o, &session] { session.Finish(Trust(*o, session)); });
  auto u = std::make_shared<TrustOptions>();
  Command untrust = app.AddCommand("untrust", "Take content off the owner's signed list");
  AddList(untrust, *u);
  untrust.AddFlag("--expired", u->expired, "All entries that have expired");
  untrust.OnRun([u, &session] { session.Finish(Untrust(*u, session)); });
}

}  // namespace assay::cli
