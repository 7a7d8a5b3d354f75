// Builds reference values from packages and folders, and shows, signs and verifies them.
// man/assay-reference.1
#include "cli/cmd_reference.h"

#include <fmt/core.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "appraise/other_digest.h"
#include "appraise/result.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/own_machine.h"
#include "cli/progress.h"
#include "reference/apt_hook.h"
#include "reference/errors.h"
#include "reference/index.h"
#include "reference/self.h"
#include "reference/source.h"

namespace assay::cli {
namespace {

using nlohmann::json;
using reference::Builder;
using reference::FailedFile;
using reference::Index;

constexpr std::size_t kMaxKey = 64 << 10;
constexpr std::size_t kNamed = 20;  // paths without an owner that are printed for people
constexpr const char* kPython = "/usr/bin/python3";

struct ReferenceOptions {
  std::string out, folder, package, version, fetch_to, index, key, find;
  std::vector<std::string> debs, rpms, lists, images, owning, vulnerable, revoked, previous;
  std::string root, architecture, algorithms;
  std::uint64_t keep_days = 365;
  bool installed = false, self = false, no_previous = false, apt = false;
  bool no_byte_code = false;
  FeedArguments feeds;
};

struct Mark {
  std::string package, version, note;
};

// PKG[=VERSION][:NOTE]; a version may begin with an epoch ("1:2.0"), which is digits before a digit.
Result<Mark> ParseMark(const std::string& text) {
  Mark m;
  const std::size_t equals = text.find('=');
  m.package = text.substr(0, std::min(equals, text.find(':')));
  if (m.package.empty()) return Fail(UsageError("'" + text + "': name the package: PKG=VERSION:NOTE"));
  std::string rest = text.substr(std::min(text.size(), m.package.size() + 1));
  if (equals != m.package.size()) {
    m.note = rest;
    return m;
  }
  std::size_t colon = rest.find(':');
  const bool epoch = colon != std::string::npos && colon > 0 && colon + 1 < rest.size() &&
                     rest.find_first_not_of("0123456789") == colon && rest[colon + 1] >= '0' &&
                     rest[colon + 1] <= '9';
  if (epoch) colon = rest.find(':', colon + 1);
  m.version = rest.substr(0, colon);
  if (colon != std::string::npos) m.note = rest.substr(colon + 1);
  return m;
}

Result<> AddMarks(const std::vector<std::string>& texts, appraise::Standing standing, Builder& builder) {
  for (const std::string& text : texts) {
    ASSAY_ASSIGN(const Mark m, ParseMark(text));
    builder.Mark(m.package, m.version, standing, m.note);
  }
  return {};
}

bool NamesSources(const ReferenceOptions& o) {
  return !o.debs.empty() || !o.rpms.empty() || !o.folder.empty() || !o.lists.empty() || !o.images.empty();
}

Result<> CheckNames(const ReferenceOptions& o) {
  if (!o.root.empty() && o.folder.empty() && !o.self)
    return Fail(UsageError("--root is for --folder and --self"));
  if ((!o.folder.empty() || !o.lists.empty()) && (o.package.empty() || o.version.empty()))
    return Fail(UsageError("the content of a folder or list needs a name: --package and --version"));
  return {};
}

// What the options name. debs: files besides those of --deb.
reference::Sources SourcesOf(const ReferenceOptions& o, const std::vector<std::string>& debs,
                             const reference::FurtherKinds& kinds) {
  reference::Sources sources;
  const reference::PackageName name{.package = o.package, .version = o.version};
  for (const std::vector<std::string>* files : {&o.debs, &debs})
    for (const std::string& deb : *files) sources.push_back(reference::DebSource(deb, kinds));
  for (const std::string& rpm : o.rpms) sources.push_back(reference::RpmSource(rpm));
  if (!o.folder.empty()) sources.push_back(reference::FolderSource(o.folder, name, o.root, kinds));
  for (const std::string& list : o.lists) sources.push_back(reference::ListSource(list, name));
  for (const std::string& image : o.images)
    sources.push_back(reference::ImageSource(image, name, o.architecture, kinds));
  return sources;
}

// Returns the files that could not be read.
std::vector<FailedFile> AddAll(const reference::Sources& sources, Builder& builder, bool show_progress) {
  Progress progress(show_progress, "hashing");
  reference::SourceReport report = reference::AddSources(
      sources, builder, [&](std::size_t done, std::size_t all) { progress.At(done, all); });
  if (report.left_out > 0)
    fmt::print(stderr, "assay: {} digest(s) of other algorithms than SHA-256 are left out\n",
               report.left_out);
  return std::move(report.failed);
}

// One file that can't be read does not make the others unknown. If there is no other, this is an error.
// report: for JSON.
Result<> SayFailed(const std::vector<FailedFile>& failed, const Builder& builder, json& report) {
  report["failed"] = json::array();
  if (failed.empty()) return {};
  if (builder.files() == 0) return Fail(failed.front().error);
  for (std::size_t i = 0; i < failed.size(); ++i) {
    const FailedFile& f = failed[i];
    report["failed"].push_back({{"file", f.path}, {"code", f.error.code()}, {"message", f.error.Message()}});
    if (i < kNamed) fmt::print(stderr, "  {}: {}\n", f.path, f.error.Message());
  }
  if (failed.size() > kNamed) fmt::print(stderr, "  and {} more\n", failed.size() - kNamed);
  fmt::print(stderr, "assay: {} file(s) could not be read; what they hold will be unknown\n", failed.size());
  return {};
}

struct TemporaryFolder {
  std::string path;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
};

void SayKept(const std::vector<reference::KeptPackage>& kept) {
  if (kept.empty()) return;
  for (std::size_t i = 0; i < std::min(kept.size(), kNamed); ++i)
    fmt::print(stderr, "  {} {}: {}\n", kept[i].installed.package, kept[i].installed.version, kept[i].file);
  if (kept.size() > kNamed) fmt::print(stderr, "  and {} more\n", kept.size() - kNamed);
  fmt::print(
      stderr,
      "assay: {} package(s) are no longer in apt's lists, which would name their digests; the files that "
      "were kept of them are used\n",
      kept.size());
}

// Each missing package, and one line with the total at the end.
void SayMissing(const std::vector<reference::MissingPackage>& missing, std::size_t installed) {
  using reference::Missing;
  if (missing.empty()) return;
  std::map<Missing, std::size_t> count;
  std::size_t named = 0;
  for (const reference::MissingPackage& m : missing) {
    ++count[m.why];
    if (++named > kNamed) continue;
    fmt::print(stderr, "  {} {}: {}\n", m.installed.package, m.installed.version,
               m.why == Missing::kThirdParty ? "in no archive that apt knows"
               : m.why == Missing::kNewer    ? "newer than the archive's " + m.available
                                             : "no longer in the archive, which has " + m.available);
  }
  if (named > kNamed) fmt::print(stderr, "  and {} more\n", named - kNamed);
  fmt::print(
      stderr,
      "assay: {} of {} packages have no reference values, and their files will be unknown: {} of third "
      "parties or built locally, {} newer than the archive (backports; or apt's lists are old), {} no "
      "longer in the archive (upgrade the machine). Add their files with --deb.\n",
      missing.size(), installed, count[Missing::kThirdParty], count[Missing::kNewer],
      count[Missing::kSuperseded]);
}

void SayUnowned(const std::vector<std::string>& unowned) {
  if (unowned.empty()) return;
  fmt::print(stderr,
             "assay: {} file(s) belong to no package and will be unknown; name their builds with --folder:\n",
             unowned.size());
  for (std::size_t i = 0; i < std::min(unowned.size(), kNamed); ++i) fmt::print(stderr, "  {}\n", unowned[i]);
  if (unowned.size() > kNamed) fmt::print(stderr, "  and {} more\n", unowned.size() - kNamed);
}

void SayByteCode(const reference::ByteCodeReport& r) {
  if (r.unknown > 0)
    fmt::print(stderr, "assay: {}: byte code of {} Python source(s) will be unknown\n", r.unavailable,
               r.unknown);
  if (r.other_python > 0)
    fmt::print(
        stderr,
        "assay: {} Python source(s) are for another Python than this machine's: their byte code will be "
        "unknown\n",
        r.other_python);
  if (!r.failed.empty())
    fmt::print(stderr, "assay: {} Python source(s) could not be compiled and have no byte code, first {}\n",
               r.failed.size(), r.failed.front());
}

// The number of packages. A package with byte code has two rows.
std::size_t PackageCount(const std::vector<reference::IndexedPackage>& rows) {
  std::set<std::tuple<std::string, std::string, std::string>> packages;
  for (const reference::IndexedPackage& p : rows) packages.emplace(p.package, p.version, p.architecture);
  return packages.size();
}

// The packages of this machine, as files from the archive. report: for JSON.
Result<std::vector<std::string>> InstalledDebs(const ReferenceOptions& o, const Session& session,
                                               TemporaryFolder& temporary, json& report) {
  std::vector<reference::Installed> packages;
  if (o.owning.empty()) {
    ASSAY_ASSIGN(packages, reference::InstalledPackages());
  } else {
    ASSAY_ASSIGN(reference::Owners owners, reference::OwnersOf(o.owning));
    packages = std::move(owners.packages);
    SayUnowned(owners.unowned);
    report["unowned"] = owners.unowned;
  }
  std::string folder = o.fetch_to;
  if (folder.empty()) {
    temporary.path = (std::filesystem::temp_directory_path() / "assay-debs.XXXXXX").string();
    if (mkdtemp(temporary.path.data()) == nullptr) return Fail(OsError("mkdtemp", temporary.path, errno));
    folder = temporary.path;
  }
  Progress progress(session.progress, "fetching packages");
  ASSAY_ASSIGN(reference::FetchReport fetched,
               reference::FetchDebs(packages, folder,
                                    [&](std::size_t done, std::size_t all) { progress.At(done, all); }));
  if (!fetched.failed.empty())
    return Fail(StateError(
        reference::ReferenceError::kFetch,
        fmt::format("{} package(s) could not be fetched (fetched files are kept; try again), first {}",
                    fetched.failed.size(), fetched.failed.front())));
  if (fetched.files.empty() && !packages.empty())
    return Fail(
        StateError(reference::ReferenceError::kFetch,
                   fmt::format("none of {} package(s) is in apt's lists; 'apt-get update' may be necessary",
                               packages.size())));
  report["missing"] = json::array();
  for (const reference::MissingPackage& m : fetched.missing)
    report["missing"].push_back({{"package", m.installed.package},
                                 {"version", m.installed.version},
                                 {"available", m.available},
                                 {"why", reference::MissingName(m.why)}});
  report["kept"] = json::array();
  for (const reference::KeptPackage& k : fetched.kept)
    report["kept"].push_back(
        {{"package", k.installed.package}, {"version", k.installed.version}, {"file", k.file}});
  report["wanted"] = packages.size();
  SayKept(fetched.kept);
  SayMissing(fetched.missing, packages.size());
  // The folder of `update` is assay's own.
  if (folder == kOwnPackages) ASSAY_TRY(reference::RemoveOtherDebs(folder, fetched.files));
  return fetched.files;
}

// What an earlier index knew stays known: the one that is replaced, and those of --previous.
Result<> AddPrevious(const ReferenceOptions& o, Builder& builder) {
  ASSAY_ASSIGN(const std::uint64_t now, BuildTimeMs());
  std::vector<std::string> files = o.previous;
  if (!o.no_previous && access(o.out.c_str(), F_OK) == 0) files.push_back(o.out);
  for (const std::string& file : files) {
    const Result<std::unique_ptr<Index>> index = Index::Open(file);
    if (!index)
      return Fail(index.error().In("keeping what " + file + " knows (--no-previous leaves it out)"));
    builder.AddFormer(**index, Builder::Former::kSuperseded, now, o.keep_days);
  }
  builder.KnownSince(now);
  return {};
}

// The number of packages whose version is superseded, and of those that are vulnerable.
std::size_t SupersededCount(std::vector<reference::IndexedPackage> rows) {
  std::erase_if(rows, [](const reference::IndexedPackage& p) { return p.since_ms == 0; });
  return PackageCount(rows);
}
std::size_t VulnerableCount(std::vector<reference::IndexedPackage> rows) {
  std::erase_if(
      rows, [](const reference::IndexedPackage& p) { return p.Judged() != appraise::Standing::kVulnerable; });
  return PackageCount(rows);
}

Result<> SayBuilt(const ReferenceOptions& o, const Builder& builder, const Session& session, json& report) {
  ASSAY_ASSIGN(const std::unique_ptr<Index> index, Index::Open(o.out));
  const std::vector<reference::IndexedPackage> packages = index->Packages();
  const std::size_t superseded = SupersededCount(packages);
  const reference::ByteCodeReport byte_code = builder.ByteCode();
  report["files"] = index->files();
  report["digests"] = index->size();
  report["packages"] = PackageCount(packages);
  const std::size_t vulnerable = VulnerableCount(packages);
  report["superseded"] = superseded;
  report["vulnerable"] = vulnerable;
  report["sha256"] = index->ContentDigest().hex();
  if (!o.no_byte_code)
    report["byte_code"] = {{"known", byte_code.known},
                           {"unknown", byte_code.unknown},
                           {"other_python", byte_code.other_python},
                           {"failed", byte_code.failed},
                           {"unavailable", byte_code.unavailable}};
  if (session.json)
    session.Answer(report);
  else
    fmt::print("{}: {} files of {} package(s), {} different contents{}{}{}\n", o.out, index->files(),
               PackageCount(packages), index->size(),
               byte_code.known == 0 ? "" : fmt::format(", {} files of byte code among them", byte_code.known),
               superseded == 0 ? "" : fmt::format("; {} package(s) are superseded", superseded),
               vulnerable == 0 ? "" : fmt::format("; {} package(s) are vulnerable", vulnerable));
  return {};
}

Result<int> Build(const ReferenceOptions& o, const Session& session) {
  if (!NamesSources(o) && !o.installed && !o.self)
    return Fail(
        UsageError("reference build: give --deb, --rpm, --folder, --list, --oci, --installed or --self"));
  ASSAY_TRY(CheckNames(o));
  ASSAY_ASSIGN(const reference::FurtherKinds kinds, reference::ParseFurtherKinds(o.algorithms));
  Builder builder;
  if (!o.no_byte_code) builder.UseByteCode(kPython);
  json report = json::object();
  TemporaryFolder temporary;
  std::vector<std::string> fetched;
  if (o.installed) {
    ASSAY_ASSIGN(fetched, InstalledDebs(o, session, temporary, report));
  }
  const std::vector<FailedFile> failed = AddAll(SourcesOf(o, fetched, kinds), builder, session.progress);
  if (o.self) ASSAY_TRY(reference::AddSelf(builder, ASSAY_VERSION, o.root, kinds));
  ASSAY_TRY(SayFailed(failed, builder, report));
  ASSAY_TRY(AddPrevious(o, builder));
  ASSAY_ASSIGN(const bool advised, UseFeeds(o.feeds, builder, report));
  ASSAY_TRY(AddMarks(o.vulnerable, appraise::Standing::kVulnerable, builder));
  ASSAY_TRY(AddMarks(o.revoked, appraise::Standing::kRevoked, builder));
  ASSAY_TRY(builder.Write(o.out));
  SayByteCode(builder.ByteCode());
  ASSAY_TRY(SayBuilt(o, builder, session, report));
  const bool missing = report.contains("missing") && !report["missing"].empty();
  return missing || !failed.empty() || !advised ? kExitIncomplete : kExitOk;
}

// Adds packages to an index that exists; their former versions become superseded.
Result<int> AddTo(const ReferenceOptions& o, const Session& session) {
  std::vector<std::string> told;
  if (o.apt) {
    ASSAY_ASSIGN(const Bytes text, ReadAll(STDIN_FILENO, reference::kMaxAptHook));
    ASSAY_ASSIGN(told, reference::ParseAptHook(AsText(text)));
  } else if (!NamesSources(o)) {
    return Fail(UsageError("reference add: name package files, --rpm, --folder, --list, --oci, or --apt"));
  }
  ASSAY_TRY(CheckNames(o));
  ASSAY_ASSIGN(const reference::FurtherKinds kinds, reference::ParseFurtherKinds(o.algorithms));
  const reference::Sources sources = SourcesOf(o, told, kinds);
  if (sources.empty()) {  // apt only removes or configures
    if (session.json) session.Answer({{"added", 0}});
    return kExitOk;
  }
  Builder builder;
  if (!o.no_byte_code) builder.UseByteCode(kPython);
  json report;
  const std::vector<FailedFile> failed = AddAll(sources, builder, session.progress);
  ASSAY_TRY(SayFailed(failed, builder, report));
  ASSAY_ASSIGN(const std::uint64_t now, BuildTimeMs());
  ASSAY_ASSIGN(const UniqueFd locked, LockIndex(o.out));
  {
    ASSAY_ASSIGN(const std::unique_ptr<Index> index, Index::Open(o.out));
    builder.AddFormer(*index, Builder::Former::kOfAdded, now, o.keep_days);
  }
  builder.KnownSince(now);
  ASSAY_ASSIGN(const bool advised, UseFeeds(o.feeds, builder, report));
  ASSAY_TRY(builder.Write(o.out));
  SayByteCode(builder.ByteCode());
  ASSAY_TRY(SignNew(o.out, o.key));
  report["added"] = sources.size() - failed.size();
  ASSAY_TRY(SayBuilt(o, builder, session, report));
  return failed.empty() && advised ? kExitOk : kExitIncomplete;
}

Result<int> Find(const ReferenceOptions& o, const Index& index, const Session& session) {
  std::vector<appraise::Origin> origins;
  if (o.find.starts_with('/')) {
    if (std::optional<appraise::Origin> origin = index.FindPath(o.find))
      origins.push_back(std::move(*origin));
  } else {
    const std::string text = o.find.find(':') == std::string::npos ? "sha256:" + o.find : o.find;
    ASSAY_ASSIGN(const Digest digest, ima::ParseFileDigest(text));
    origins = index.Find(appraise::DigestToFind(digest, text));
  }
  json list = json::array();
  for (const appraise::Origin& origin : origins) {
    list.push_back(appraise::ToJson(origin));
    if (!session.json)
      fmt::print("{} of {} {} {}: {}{}\n", origin.path, origin.package, origin.version, origin.architecture,
                 appraise::StandingName(origin.standing),
                 origin.note.empty() ? "" : " (" + origin.note + ")");
  }
  if (session.json)
    session.Answer({{"found", list}});
  else if (origins.empty())
    fmt::print("{} is not in {}\n", o.find, o.index);
  return origins.empty() ? kExitNotTrusted : kExitOk;
}

// ": superseded since 2026-11-30", ": vulnerable, superseded since 2026-11-30"; empty: good.
std::string StandingText(const reference::IndexedPackage& p) {
  std::string out;
  if (const appraise::Standing s = p.Judged();
      s != appraise::Standing::kGood && s != appraise::Standing::kSuperseded)
    out = fmt::format(": {}", appraise::StandingName(s));
  if (p.since_ms != 0) out += (out.empty() ? ": " : ", ") + ("superseded since " + DateText(p.since_ms));
  return out;
}

Result<int> Show(const ReferenceOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::unique_ptr<Index> index, Index::Open(o.index));
  if (!o.find.empty()) return Find(o, *index, session);
  json packages = json::array();
  for (const reference::IndexedPackage& p : index->Packages()) {
    packages.push_back({{"package", p.package},
                        {"version", p.version},
                        {"architecture", p.architecture},
                        {"standing", appraise::StandingName(p.Judged())},
                        {"note", p.note},
                        {"source", p.source},
                        {"source_version", p.source_version}});
    if (p.known_ms != 0) packages.back()["known_since"] = DateText(p.known_ms);
    if (p.since_ms != 0) packages.back()["superseded_since"] = DateText(p.since_ms);
    if (p.advisory_count != 0) packages.back()["advisories"] = appraise::ToJson(p.advisories);
    if (!session.json)
      fmt::print(
          "{} {} {}{}{}{}\n", p.package, p.version, p.architecture, StandingText(p),
          p.note.empty() ? "" : " (" + p.note + ")",
          p.advisory_count == 0 ? "" : ": " + appraise::AdvisoriesText(p.advisories, p.advisory_count));
  }
  if (session.json)
    session.Answer({{"packages", packages},
                    {"files", index->files()},
                    {"digests", index->size()},
                    {"sha256", index->ContentDigest().hex()}});
  else
    fmt::print("{} files of {} package(s), {} different contents, sha256:{}\n", index->files(),
               PackageCount(index->Packages()), index->size(), index->ContentDigest().hex());
  return kExitOk;
}

Result<int> Sign(const ReferenceOptions& o, const Session& session) {
  ASSAY_TRY(Index::Open(o.index));  // only a valid index is signed
  ASSAY_ASSIGN(const Bytes pem, ReadFile(o.key, kMaxKey));
  ASSAY_ASSIGN(const PrivateKey key, PrivateKey::FromPem(AsText(pem)));
  ASSAY_TRY(reference::SignManifest(o.index, key));
  if (session.json)
    session.Answer({{"signature", o.index + ".sig"}});
  else
    fmt::print("{}.sig is written\n", o.index);
  return kExitOk;
}

// Without a key: whether the whole file is as it was written.
Result<int> CheckWhole(const ReferenceOptions& o, const Session& session) {
  ASSAY_ASSIGN(const UniqueFd readable, assay::Open(o.index, O_RDONLY));  // else nothing is known of it
  const Result<std::unique_ptr<Index>> index = Index::Open(o.index);
  const Result<> whole = index ? (*index)->CheckAll() : Result<>(Fail(index.error()));
  if (session.json)
    session.Answer({{"whole", whole.has_value()}, {"damage", whole ? "" : whole.error().Message()}});
  else
    fmt::print("{} {}\n", o.index, whole ? "is whole" : "is damaged: " + whole.error().Message());
  return whole ? kExitOk : kExitNotTrusted;
}

Result<int> Verify(const ReferenceOptions& o, const Session& session) {
  if (o.key.empty()) return CheckWhole(o, session);
  ASSAY_ASSIGN(const Bytes pem, ReadFile(o.key, kMaxKey));
  ASSAY_ASSIGN(const PublicKey key, PublicKey::FromPem(AsText(pem)));
  const Result<Bytes> verified = reference::VerifyManifest(o.index, key);
  if (!verified && !verified.error().Is(reference::ReferenceError::kSignature)) return Fail(verified.error());
  if (session.json)
    session.Answer({{"verified", verified.has_value()}});
  else
    fmt::print("{} {} signed by this key\n", o.index, verified ? "is" : "is not");
  return verified ? kExitOk : kExitNotTrusted;
}

// The index of this machine's packages, which the hook of apt then keeps.
Result<int> Update(ReferenceOptions o, const Session& session) {
  o.installed = true;
  if (o.out.empty()) o.out = kOwnIndex;
  o.fetch_to = kOwnPackages;
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::path(o.out).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) return Fail(OsError("mkdir", folder, failed.value()));
  ASSAY_ASSIGN(const UniqueFd locked, LockIndex(o.out));
  return Build(o, session);
}

void AddSourceOptions(Command sub, ReferenceOptions& o) {
  sub.AddOption("--rpm", o.rpms, "Package files of rpm, by the digests in their headers");
  sub.AddOption("--folder", o.folder, "A folder's files, named by --package and --version");
  sub.AddOption("--list", o.lists,
                "sha256sum lists, Keylime policies, CycloneDX or SPDX, named as a folder is");
  sub.AddOption("--oci", o.images, "Images of containers: OCI layouts, archives of docker or podman save");
  sub.AddOption("--architecture", o.architecture,
                "Of several images: those for this architecture (amd64, arm64); by default this machine's");
  sub.AddOption("--package", o.package, "Name of the folder's, list's or image's content");
  sub.AddOption("--version", o.version, "Version of the folder's, list's or image's content");
  sub.AddOption(
      "--root", o.root,
      "For --folder and --self: a folder that is no part of the paths (DESTDIR, an unpacked image)");
}

void AddAlgorithms(Command sub, ReferenceOptions& o) {
  sub.AddOption("--algorithms", o.algorithms,
                "Digests of each file besides its SHA-256: sha1, sha384, sha512, verity, with commas");
}

void AddKeepDays(Command sub, ReferenceOptions& o) {
  sub.AddOption("--keep-days", o.keep_days, "How long superseded versions stay known").ShowDefault();
}

void AddFeeds(Command sub, ReferenceOptions& o) {
  sub.AddOption(
      "--advisories", o.feeds.advisories,
      "OSV records, CSAF documents, the security tracker's JSON, Debian's OVAL, or folders of them");
  AddFeedOptions(sub, o.feeds);
  sub.AddFlag("--changelogs", o.feeds.changelogs,
              "Older versions are vulnerable to the CVEs that the packages' changelogs name");
}

}  // namespace

void AddReference(Command app, Session& session) {
  auto o = std::make_shared<ReferenceOptions>();
  Command reference = app.AddCommand("reference", "Build, show, sign and verify reference values");
  reference.RequireCommand();
  Command build = reference.AddCommand("build", "Make an index of packages and folders");
  build.AddOption("--out", o->out, "The index file to write").Required();
  build.AddOption("--deb", o->debs, "Package files");
  AddSourceOptions(build, *o);
  const CommandOption installed =
      build.AddFlag("--installed", o->installed, "This machine's packages, from apt's archive");
  build
      .AddOption("--fetch-to", o->fetch_to,
                 "Folder that keeps their files; without it they are fetched again")
      .Needs(installed);
  build.AddOption("--owning", o->owning, "Only the packages that own these files").Needs(installed);
  build.AddFlag("--no-byte-code", o->no_byte_code, "Leave out the byte code of Python sources");
  build.AddOption("--vulnerable", o->vulnerable, "PKG=VERSION:NOTE, that version is vulnerable");
  build.AddOption("--revoked", o->revoked, "PKG=VERSION:NOTE, that version is revoked");
  build.AddFlag("--self", o->self, "The programs of this assay");
  build.AddOption("--previous", o->previous,
                  "Earlier indexes, whose versions stay known as superseded (besides the one at --out)");
  build.AddFlag("--no-previous", o->no_previous, "Forget what the index at --out knew");
  AddAlgorithms(build, *o);
  AddKeepDays(build, *o);
  AddFeeds(build, *o);
  build.OnRun([o, &session] { session.Finish(Build(*o, session)); });
  Command update = reference.AddCommand("update", "Bring this machine's reference values up to date");
  update.AddOption("--index", o->out, fmt::format("The index (default: {})", kOwnIndex));
  AddAlgorithms(update, *o);
  AddKeepDays(update, *o);
  AddFeeds(update, *o);
  update.OnRun([o, &session] { session.Finish(Update(*o, session)); });
  Command add = reference.AddCommand("add", "Add packages to an index, before they are installed");
  add.AddOption("debs", o->debs, "Package files");
  add.AddOption("--index", o->out, "The index, which is replaced").Required();
  AddSourceOptions(add, *o);
  add.AddFlag("--apt", o->apt, "Read from stdin what apt tells a hook (DPkg::Pre-Install-Pkgs, version 3)");
  add.AddFlag("--no-byte-code", o->no_byte_code, "Leave out the byte code of Python sources");
  add.AddOption("--key", o->key, "Sign the index with this key (PEM)");
  AddAlgorithms(add, *o);
  AddKeepDays(add, *o);
  AddFeeds(add, *o);
  add.OnRun([o, &session] { session.Finish(AddTo(*o, session)); });
  AddAdvise(reference, session);
  AddDiff(reference, session);
  AddExport(reference, session);
  auto index_argument = [o](Command sub) { sub.AddOption("index", o->index, "The index").Required(); };
  Command show = reference.AddCommand("show", "Show what is in an index");
  index_argument(show);
  show.AddOption("--find", o->find, "A digest or path: 0 found, 1 not found");
  show.OnRun([o, &session] { session.Finish(Show(*o, session)); });
  Command sign = reference.AddCommand("sign", "Sign an index");
  index_argument(sign);
  sign.AddOption("--key", o->key, "Private key (PEM)").Required();
  sign.OnRun([o, &session] { session.Finish(Sign(*o, session)); });
  Command verify = reference.AddCommand("verify", "Check an index and its signature: 0 good, 1 not");
  index_argument(verify);
  verify.AddOption("--key", o->key, "Public key (PEM); without it the whole file is checked for damage");
  verify.OnRun([o, &session] { session.Finish(Verify(*o, session)); });
}

}  // namespace assay::cli
