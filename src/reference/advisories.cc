#include "reference/advisories.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>

#include "base/fd.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "reference/advisory_forms.h"
#include "reference/archive.h"
#include "reference/cvss.h"
#include "reference/errors.h"
#include "reference/file_parts.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "advisories";
constexpr std::size_t kMaxFeed = std::size_t{512} << 20;  // bytes; the tracker's JSON has about 70 MB
constexpr std::size_t kMaxText = 200;                     // bytes of a name or a version
constexpr std::string_view kCve = "CVE-";

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kDebian{
    {{"buster", "10"}, {"bullseye", "11"}, {"bookworm", "12"}, {"trixie", "13"}, {"forky", "14"}}};

// A value of os-release(5), without quotes.
std::string OsValue(std::string_view text, std::string_view name) {
  std::string out;
  EachLine(text, [&](std::string_view line) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != '=') return;
    out = line.substr(name.size() + 1);
    std::erase(out, '"');
  });
  return out;
}

class Osv {
 public:
  Osv(const FeedOptions& options, AdvisoryFeed& out) : options_(options), out_(out) {}

  Result<> Read(const JsonValue& root) {
    if (root.Has("withdrawn")) return {};
    ASSAY_ASSIGN(id_, root.Str("id"));
    id_ = CleanText(id_);
    ASSAY_TRY(FindCves(root));
    ASSAY_ASSIGN(severity_, SeverityOf(root));
    if (!root.Has("affected")) return {};
    ASSAY_ASSIGN(const JsonValue affected, root.Array("affected"));
    return affected.Each([&](const JsonValue& of) { return Affected(of); });
  }

 private:
  // The CVEs that the record is about; it may be one itself: "CVE-2024-5535", "UBUNTU-CVE-2025-38094".
  Result<> FindCves(const JsonValue& root) {
    if (const std::size_t at = id_.find(kCve); at != std::string::npos) {
      cves_.insert(id_.substr(at));
      return {};
    }
    for (const char* list : {"aliases", "upstream"}) {
      if (!root.Has(list)) continue;
      ASSAY_ASSIGN(const std::vector<std::string> names, root.Strings(list));
      for (const std::string& name : names)
        if (name.starts_with(kCve)) cves_.insert(CleanText(name));
    }
    return {};
  }

  static Result<std::string> SeverityOf(const JsonValue& of) {
    std::string out;
    if (!of.Has("severity")) return out;
    ASSAY_ASSIGN(const JsonValue list, of.Array("severity"));
    ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(const std::string score, v.Str("score"));
      if (const std::string name = SeverityName(score); !name.empty()) out = name;
      return {};
    }));
    return out;
  }

  bool IsOfRelease(std::string_view ecosystem) const {
    const std::string& wanted = options_.release.ecosystem;
    return ecosystem == wanted || ecosystem.starts_with(wanted + ":");
  }

  Result<> Affected(const JsonValue& of) {
    if (!of.Has("package")) return {};
    ASSAY_ASSIGN(const JsonValue package, of.Object("package"));
    ASSAY_ASSIGN(const std::string ecosystem, package.Str("ecosystem"));
    if (!IsOfRelease(ecosystem)) return {};
    ASSAY_ASSIGN(const std::string name, package.Str("name"));
    source_ = CleanText(name);
    ASSAY_ASSIGN(std::string severity, SeverityOf(of));
    if (of.Has("ecosystem_specific")) {
      ASSAY_ASSIGN(const JsonValue specific, of.Object("ecosystem_specific"));
      if (specific.Has("urgency")) {
        ASSAY_ASSIGN(const std::string urgency, specific.Str("urgency"));
        if (urgency == "unimportant") {
          ++out_.minor;
          return {};
        }
        if (severity.empty()) severity = SeverityName(urgency);
      }
    }
    if (severity.empty()) severity = severity_;
    bool ranges = false;
    if (of.Has("ranges")) {
      ASSAY_ASSIGN(const JsonValue list, of.Array("ranges"));
      ASSAY_TRY(list.Each([&](const JsonValue& range) -> Result<> {
        ASSAY_ASSIGN(const std::string type, range.Str("type"));
        if (type != "ECOSYSTEM") return {};
        ranges = true;
        return Range(range, severity);
      }));
    }
    if (ranges || !of.Has("versions")) return {};
    ASSAY_ASSIGN(std::vector<std::string> versions, of.Strings("versions"));
    if (!versions.empty())
      Put({.source = {}, .advisory = {}, .introduced = {}, .last = {}, .versions = std::move(versions)},
          severity);
    return {};
  }

  // Events are in order: each `introduced` begins a range that the next `fixed` or `last_affected` ends.
  Result<> Range(const JsonValue& range, const std::string& severity) {
    FeedEntry entry;
    bool open = false;
    ASSAY_ASSIGN(const JsonValue events, range.Array("events"));
    ASSAY_TRY(events.Each([&](const JsonValue& event) -> Result<> {
      if (event.Has("introduced")) {
        ASSAY_ASSIGN(const std::string version, event.Str("introduced"));
        if (open) Put(entry, severity);
        entry = {};
        entry.introduced = version == "0" ? "" : CleanText(version);
        open = true;
      } else if (open && event.Has("fixed")) {
        ASSAY_ASSIGN(const std::string version, event.Str("fixed"));
        entry.advisory.fixed = CleanText(version);
        Put(entry, severity);
        open = false;
      } else if (open && event.Has("last_affected")) {
        ASSAY_ASSIGN(const std::string version, event.Str("last_affected"));
        entry.last = CleanText(version);
        Put(entry, severity);
        open = false;
      }
      return {};
    }));
    if (open) Put(entry, severity);
    return {};
  }

  void Put(FeedEntry entry, const std::string& severity) {
    entry.source = source_;
    entry.advisory.severity = severity;
    if (cves_.empty()) {
      entry.advisory.id = id_;
      TakeEntry(std::move(entry), options_, out_);
      return;
    }
    for (const std::string& cve : cves_) {
      entry.advisory.id = cve;
      entry.advisory.record = id_.ends_with(cve) ? "" : id_;
      TakeEntry(entry, options_, out_);
    }
  }

  const FeedOptions& options_;
  AdvisoryFeed& out_;
  std::string id_, severity_, source_;
  std::set<std::string> cves_;
};

// {source: {CVE: {"releases": {codename: {"status", "fixed_version", "urgency"}}}}}
Result<> ReadTracker(const JsonValue& root, const FeedOptions& options, AdvisoryFeed& out) {
  return root.EachMember([&](std::string_view source, const JsonValue& cves) -> Result<> {
    return cves.EachMember([&](std::string_view cve, const JsonValue& of) -> Result<> {
      ASSAY_ASSIGN(const JsonValue releases, of.Object("releases"));
      if (options.release.codename.empty() || !releases.Has(options.release.codename)) return {};
      ASSAY_ASSIGN(const JsonValue here, releases.Object(options.release.codename));
      ASSAY_ASSIGN(const std::string status, here.Str("status"));
      if (status == "undetermined") return {};
      std::string urgency;
      std::string fixed;
      if (here.Has("urgency")) {
        ASSAY_ASSIGN(urgency, here.Str("urgency"));
      }
      if (status == "resolved") {
        ASSAY_ASSIGN(fixed, here.Str("fixed_version"));
        if (fixed == "0") return {};  // this release never had it
      }
      if (urgency == "unimportant") {
        ++out.minor;
        return {};
      }
      FeedEntry entry;
      entry.source = CleanText(source);
      entry.advisory = {
          .id = CleanText(cve), .record = "", .severity = SeverityName(urgency), .fixed = CleanText(fixed)};
      TakeEntry(std::move(entry), options, out);
      return {};
    });
  });
}

// The content of a packed file, as Debian has its OVAL definitions.
Result<Bytes> Unpacked(Bytes file) {
  const ArchivePtr a = OpenPacked(file);
  if (a == nullptr) return file;
  Budget budget{.format = kFormat, .left = kMaxKept};
  Bytes out;
  ASSAY_TRY(HashEntry(a.get(), "packed advisories", budget, &out));
  return out;
}

bool IsFeed(const std::filesystem::path& file) {
  std::filesystem::path name = file;
  for (const char* packed : {".bz2", ".gz", ".xz", ".zst"})
    if (name.extension() == packed) name = name.stem();
  return name.extension() == ".json" || name.extension() == ".xml";
}

Result<> ReadOne(const std::string& path, const FeedOptions& options, AdvisoryFeed& out) {
  ASSAY_ASSIGN(Bytes file, ReadFile(path, kMaxFeed));
  ASSAY_ASSIGN(const Bytes text, Unpacked(std::move(file)));
  return ParseAdvisories(AsText(text), options, out);
}

// The .json and .xml files below a folder, in order; a path that is no folder is itself the file.
Result<std::vector<std::string>> FilesOf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  std::filesystem::recursive_directory_iterator it(path, error);
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error))
    if (IsFeed(it->path())) files.push_back(it->path().string());
  if (error) return Fail(OsError("readdir", path, error.value()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string CleanText(std::string_view text) { return PrintableAscii(text.substr(0, kMaxText)); }

// "high**" of the tracker is "high"; "not yet assigned" says nothing.
std::string SeverityName(std::string_view text) {
  std::string name(text.substr(0, std::min(text.find('*'), text.size())));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  for (const std::string_view known : {"critical", "high", "medium", "low"})
    if (name == known) return name;
  if (name == "important") return "high";
  if (name == "moderate") return "medium";
  if (name == "negligible") return "low";
  return std::string(CvssRating(text));
}

void TakeEntry(FeedEntry entry, const FeedOptions& options, AdvisoryFeed& out) {
  const bool fixed = !entry.advisory.fixed.empty() || !entry.last.empty();
  if (!fixed && !options.unfixed)
    ++out.unfixed;
  else
    out.entries.push_back(std::move(entry));
}

bool FeedEntry::Affects(std::string_view version) const {
  if (!versions.empty()) return std::find(versions.begin(), versions.end(), version) != versions.end();
  if (!introduced.empty() && CompareVersions(version, introduced) < 0) return false;
  if (!advisory.fixed.empty()) return CompareVersions(version, advisory.fixed) < 0;
  return last.empty() || CompareVersions(version, last) <= 0;
}

Result<Release> ReleaseOf(std::string_view name) {
  std::string wanted(name);
  if (wanted.empty()) {
    ASSAY_ASSIGN(const Bytes text, ReadFile("/etc/os-release", kMaxText * kMaxText));
    const std::string id = OsValue(AsText(text), "ID");
    wanted = (id == "ubuntu"   ? "Ubuntu:"
              : id == "debian" ? "Debian:"
                               : id + ":") +
             OsValue(AsText(text), "VERSION_ID");
  }
  for (const auto& [codename, number] : kDebian)
    if (wanted == codename || wanted == "Debian:" + std::string(number))
      return Release{.ecosystem = "Debian:" + std::string(number), .codename = std::string(codename)};
  if (wanted.starts_with("Ubuntu:") && wanted.size() > std::string_view("Ubuntu:").size())
    return Release{.ecosystem = wanted, .codename = ""};
  return Fail(
      StateError(ReferenceError::kRelease, "'" + CleanText(wanted) + "' is no release that is known here"));
}

Result<> ParseAdvisories(std::string_view text, const FeedOptions& options, AdvisoryFeed& out) {
  if (IsXml(text)) {
    ASSAY_TRY(ReadOval(text, options, out));
    ++out.files;
    return {};
  }
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, kFormat, kMaxFeed));
  const JsonValue root = doc.root();
  if (!root.is_object()) return Fail(root.Bad("neither an OSV record, CSAF nor the security tracker's JSON"));
  ++out.files;
  if (root.Has("id") && root.Has("modified")) return Osv(options, out).Read(root);
  if (IsCsaf(root)) return ReadCsaf(root, options, out);
  return ReadTracker(root, options, out);
}

Result<AdvisoryFeed> ReadAdvisories(const std::vector<std::string>& paths, const FeedOptions& options) {
  AdvisoryFeed out;
  for (const std::string& path : paths) {
    ASSAY_ASSIGN(const std::vector<std::string> files, FilesOf(path));
    for (const std::string& file : files)
      if (Result<> read = ReadOne(file, options, out); !read) out.failed.push_back({file, read.error()});
  }
  if (out.files == 0 && !out.failed.empty())
    return Fail(out.failed.front().error.In(out.failed.front().path));
  return out;
}

}  // namespace assay::reference
