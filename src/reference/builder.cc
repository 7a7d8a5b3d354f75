#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "reference/affected.h"
#include "reference/byte_code.h"
#include "reference/errors.h"
#include "reference/index.h"
#include "reference/index_writer.h"
#include "reference/package_file.h"
#include "reference/source.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

constexpr const char* kByteCode = "byte code, calculated from the packaged source";

struct Marked {
  std::string package, version, note;
  appraise::Standing standing;
  bool Fits(const PackageContent& p) const {
    return package == p.package && (version.empty() || version == p.version);
  }
};

// A package with what an earlier index said of it.
struct Listed {
  PackageContent content;
  appraise::Standing standing = appraise::Standing::kGood;
  std::uint64_t since_ms = 0;  // when it was superseded
  std::uint64_t known_ms = 0;  // when it was first in an index
  std::vector<appraise::Advisory> advisories = {};
};

bool IsOfRpm(const PackageContent& p) { return p.source.ends_with(kRpmSource); }

// The versions of a package in their order, which is rpm's where it is of rpm.
bool IsBefore(const PackageContent& a, const PackageContent& b) {
  if (a.package != b.package) return a.package < b.package;
  if (IsOfRpm(a) != IsOfRpm(b)) return IsOfRpm(b);
  if (a.version != b.version) {
    const int order =
        IsOfRpm(a) ? CompareRpmVersions(a.version, b.version) : CompareVersions(a.version, b.version);
    if (order != 0) return order < 0;
  }
  return std::tie(a.version, a.architecture, a.note) < std::tie(b.version, b.architecture, b.note);
}

// Sorted, so that the same content gives the same file.
std::vector<const Listed*> Sorted(const std::vector<Listed>& content, const std::vector<Listed>& former,
                                  const std::vector<Listed>& denied) {
  std::vector<const Listed*> packages;
  for (const std::vector<Listed>* list : {&content, &former, &denied})
    for (const Listed& p : *list) packages.push_back(&p);
  std::sort(packages.begin(), packages.end(),
            [](const Listed* left, const Listed* right) { return IsBefore(left->content, right->content); });
  return packages;
}

}  // namespace

struct Builder::Impl {
  Mutex mutex;
  std::vector<Listed> packages ASSAY_GUARDED_BY(mutex);
  std::vector<Listed> former ASSAY_GUARDED_BY(mutex);  // of an earlier index
  std::vector<Marked> marks ASSAY_GUARDED_BY(mutex);
  std::optional<std::vector<FeedEntry>> feed ASSAY_GUARDED_BY(mutex);
  bool changelogs ASSAY_GUARDED_BY(mutex) = false;
  std::optional<std::vector<DenyEntry>> denied ASSAY_GUARDED_BY(mutex);
  std::optional<Python> python;  // has a value if byte code is to be added; set before anything is added
  ByteCodeReport report ASSAY_GUARDED_BY(mutex);

  // Byte code is added as separate content, whose note says that it is byte code.
  void Add(SourceContent read) ASSAY_REQUIRES(mutex) {
    const PackageContent& of = read.content;
    if (!read.byte_code.empty())
      packages.push_back({{of.package, of.version, of.architecture, std::move(read.byte_code), kByteCode,
                           of.source, of.source_version}});
    packages.push_back({std::move(read.content)});
  }
  void AddReport(const std::string& package, const ByteCodeReport& more) ASSAY_REQUIRES(mutex) {
    report.known += more.known;
    report.unknown += more.unknown;
    report.other_python += more.other_python;
    for (const std::string& path : more.failed) report.failed.push_back(package + ": " + path);
  }
  Result<> Fill(IndexWriter& writer) const ASSAY_REQUIRES(mutex);
  // The denied digests, as a package for each reason.
  std::vector<Listed> DeniedDigests() const ASSAY_REQUIRES(mutex) {
    std::map<std::pair<std::string, std::string>, Listed> by;
    for (const DenyEntry& d : denied ? *denied : std::vector<DenyEntry>()) {
      if (!d.digest) continue;
      Listed& l = by.try_emplace({d.who, d.why}).first->second;
      l.content.package = appraise::kDenied;
      l.content.version = d.who;
      l.content.note = d.why;
      l.standing = appraise::Standing::kRevoked;
      l.content.files.push_back({.path = "", .digest = *d.digest});
    }
    std::vector<Listed> out;
    out.reserve(by.size());
    for (auto& [reason, listed] : by) out.push_back(std::move(listed));
    return out;
  }
  // What feeds and changelogs say of the packages, in their order.
  std::vector<std::vector<appraise::Advisory>> AdvisoriesOf(const std::vector<const Listed*>& listed) const
      ASSAY_REQUIRES(mutex) {
    Affected affected;
    if (feed) affected.AddFeed(*feed);
    for (const Listed* l : listed)
      if (changelogs) affected.AddChangelog(l->content.source, l->content.changelog);
    std::vector<std::vector<appraise::Advisory>> out;
    out.reserve(listed.size());
    for (const Listed* l : listed) {
      const PackageContent& p = l->content;
      const std::string& source = p.source.empty() ? p.package : p.source;
      const std::string& version = p.source_version.empty() ? p.version : p.source_version;
      out.push_back(affected.Of(source, version, feed ? std::vector<appraise::Advisory>() : l->advisories));
    }
    return out;
  }
  Result<> CheckMarks(const std::vector<const Listed*>& listed) const ASSAY_REQUIRES(mutex) {
    for (const Marked& m : marks) {
      if (std::any_of(listed.begin(), listed.end(), [&](const Listed* l) { return m.Fits(l->content); }))
        continue;
      std::set<std::string> versions;
      for (const Listed* l : listed)
        if (l->content.package == m.package) versions.insert(l->content.version);
      return Fail(StateError(
          ReferenceError::kMark,
          fmt::format("the mark '{}' of {}{}{} fits nothing: the index has {}", StandingName(m.standing),
                      m.package, m.version.empty() ? "" : " ", m.version,
                      versions.empty() ? "no package of this name"
                                       : fmt::format("version {} of it", fmt::join(versions, ", ")))));
    }
    return {};
  }
  // A mark says more than that a package is superseded.
  appraise::Standing StandingOf(const Listed& listed, std::string& note) const ASSAY_REQUIRES(mutex) {
    const PackageContent& p = listed.content;
    appraise::Standing worst = listed.standing;
    const auto weight = [](appraise::Standing s) {
      return s == appraise::Standing::kSuperseded ? 0 : static_cast<int>(s);
    };
    for (const Marked& m : marks) {
      if (!m.Fits(p) || weight(m.standing) < weight(worst)) continue;
      worst = m.standing;
      note = m.note;
    }
    for (const DenyEntry& d : denied ? *denied : std::vector<DenyEntry>()) {
      const bool own = d.package == p.package && (d.version.empty() || d.version == p.version);
      const bool source = d.package == p.source && (d.version.empty() || d.version == p.source_version);
      if (d.digest || (!own && !source)) continue;
      worst = appraise::Standing::kRevoked;
      note = d.who + ": " + d.why;
    }
    if (!p.note.empty() && p.note.find(note) == std::string::npos)
      note += "; " + p.note;
    else if (!p.note.empty())
      note = p.note;
    return worst;
  }
};

Builder::Builder() : impl_(std::make_unique<Impl>()) {}
Builder::~Builder() = default;

Result<SourceReport> Builder::Add(const PackageSource& source) {
  std::optional<ByteCompiler> compiler;
  if (impl_->python) compiler.emplace(*impl_->python);
  ASSAY_ASSIGN(SourceRead read, source.Read(compiler ? &*compiler : nullptr));
  const MutexLock lock(impl_->mutex);
  if (compiler && !read.contents.empty())
    impl_->AddReport(read.contents.front().content.package, compiler->report());
  for (SourceContent& content : read.contents) impl_->Add(std::move(content));
  return std::move(read.report);
}

Result<> Builder::AddDeb(const std::string& path) {
  ASSAY_TRY(Add(*DebSource(path)));
  return {};
}

Result<std::vector<FailedFile>> Builder::AddFolder(const std::string& path, const std::string& package,
                                                   const std::string& version, const std::string& root) {
  ASSAY_ASSIGN(SourceReport report, Add(*FolderSource(path, {package, version}, root)));
  return std::move(report.failed);
}

Result<> Builder::AddFile(const std::string& path_on_disk, const std::string& path,
                          const std::string& package, const std::string& version) {
  PackageContent content{.package = package, .version = version, .architecture = "", .files = {}};
  ASSAY_ASSIGN(const Digest digest, HashFile(path_on_disk));
  content.files.push_back({path, digest});
  const MutexLock lock(impl_->mutex);
  impl_->Add({.content = std::move(content)});
  return {};
}

void Builder::AddList(const DigestList& list, const std::string& package, const std::string& version) {
  const MutexLock lock(impl_->mutex);
  impl_->Add({.content = ContentOf(list, {package, version})});
}

void Builder::UseByteCode(const std::string& python) {
  impl_->python = FindPython(python);
  const MutexLock lock(impl_->mutex);
  impl_->report.unavailable = impl_->python->unavailable;
}

ByteCodeReport Builder::ByteCode() const {
  const MutexLock lock(impl_->mutex);
  ByteCodeReport report = impl_->report;
  std::sort(report.failed.begin(), report.failed.end());  // packages are added in any order
  return report;
}

void Builder::Mark(const std::string& package, const std::string& version, appraise::Standing standing,
                   const std::string& note) {
  const MutexLock lock(impl_->mutex);
  impl_->marks.push_back({package, version, note, standing});
}

void Builder::AddFormer(const Index& index, Former former, std::uint64_t now_ms, std::uint64_t keep_days) {
  using Name = std::pair<std::string, std::string>;  // package, architecture
  const MutexLock lock(impl_->mutex);
  std::map<Name, std::multimap<std::string, Listed*>> present;  // its versions
  for (Listed& p : impl_->packages)
    present[{p.content.package, p.content.architecture}].emplace(p.content.version, &p);
  for (IndexedContent& c : index.Contents()) {
    const IndexedPackage& p = c.package;
    const auto there = present.find({p.package, p.architecture});
    const bool added = there != present.end();
    if (added && there->second.contains(p.version)) {  // the new content is in its place
      const auto [from, to] = there->second.equal_range(p.version);
      for (auto same = from; same != to; ++same) {
        same->second->known_ms = p.known_ms;
        same->second->advisories = p.advisories;
      }
      continue;
    }
    Listed listed{.content = {p.package, p.version, p.architecture, {}, p.note, p.source, p.source_version},
                  .standing = p.standing,
                  .since_ms = p.since_ms,
                  .known_ms = p.known_ms,
                  .advisories = p.advisories};
    const bool denied = p.package == appraise::kDenied;
    if (denied && impl_->denied) continue;  // new lists are in place of it
    if ((former == Former::kSuperseded || added) && !denied && listed.since_ms == 0) listed.since_ms = now_ms;
    if (listed.since_ms != 0 && listed.standing == appraise::Standing::kGood)
      listed.standing = appraise::Standing::kSuperseded;
    if (listed.since_ms != 0 && now_ms > listed.since_ms + keep_days * kDayMs) continue;
    for (IndexedFile& f : c.files)
      listed.content.files.push_back({std::move(f.path), f.digest, f.allowances});
    impl_->former.push_back(std::move(listed));
  }
}

void Builder::KnownSince(std::uint64_t now_ms) {
  const MutexLock lock(impl_->mutex);
  for (Listed& p : impl_->packages)
    if (p.known_ms == 0) p.known_ms = now_ms;
}

void Builder::UseAdvisories(std::vector<FeedEntry> feed) {
  const MutexLock lock(impl_->mutex);
  impl_->feed = std::move(feed);
}

void Builder::Deny(std::vector<DenyEntry> denied) {
  const MutexLock lock(impl_->mutex);
  impl_->denied = std::move(denied);
  std::erase_if(impl_->former, [](const Listed& l) { return l.content.package == appraise::kDenied; });
}

void Builder::UseChangelogs() {
  const MutexLock lock(impl_->mutex);
  impl_->changelogs = true;
}

std::size_t Builder::files() const {
  const MutexLock lock(impl_->mutex);
  std::size_t n = 0;
  for (const Listed& p : impl_->packages) n += p.content.files.size();
  return n;
}

Result<> Builder::Impl::Fill(IndexWriter& writer) const {
  const std::vector<Listed> denied_digests = DeniedDigests();
  const std::vector<const Listed*> listed = Sorted(packages, former, denied_digests);
  ASSAY_TRY(CheckMarks(listed));
  std::vector<std::vector<appraise::Advisory>> advisories = AdvisoriesOf(listed);
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const PackageContent& p = listed[i]->content;
    std::string note;
    const appraise::Standing standing = StandingOf(*listed[i], note);
    const std::size_t count = advisories[i].size();
    ASSAY_TRY(writer.AddPackage({.package = p.package,
                                 .version = p.version,
                                 .architecture = p.architecture,
                                 .note = std::move(note),
                                 .standing = standing,
                                 .since_ms = listed[i]->since_ms,
                                 .source = p.source,
                                 .source_version = p.source_version,
                                 .known_ms = listed[i]->known_ms,
                                 .advisories = std::move(advisories[i]),
                                 .advisory_count = count}));
    for (const PackagedFile& f : p.files)
      ASSAY_TRY(writer.AddFile(static_cast<std::uint32_t>(i), f.path, f.digest, f.allowances));
    for (const PackagedFile& f : p.files)
      for (const Digest& d : f.further)
        ASSAY_TRY(writer.AddFile(static_cast<std::uint32_t>(i), f.path, d, kFurtherDigest));
  }
  return {};
}

Result<> Builder::Write(const std::string& path) const {
  const MutexLock lock(impl_->mutex);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  ASSAY_ASSIGN(IndexWriter writer, IndexWriter::Make(folder.empty() ? "." : folder));
  ASSAY_TRY(impl_->Fill(writer));
  return writer.Write(path);
}

Result<Bytes> Builder::Encode() const {
  const MutexLock lock(impl_->mutex);
  ASSAY_ASSIGN(IndexWriter writer, IndexWriter::Make(""));
  ASSAY_TRY(impl_->Fill(writer));
  return writer.Encode();
}

}  // namespace assay::reference
