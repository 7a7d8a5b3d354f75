#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "reference/affected.h"
#include "reference/byte_code.h"
#include "reference/errors.h"
#include "reference/format.h"
#include "reference/index.h"
#include "reference/package_file.h"
#include "reference/source.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

constexpr std::uint64_t kMaxTable = UINT32_MAX;
constexpr const char* kByteCode = "byte code, calculated from the packaged source";

struct Marked {
  std::string package, version, note;
  appraise::Standing standing;
  bool Fits(const PackageContent& p) const {
    return package == p.package && (version.empty() || version == p.version);
  }
};

class Strings {
 public:
  std::uint32_t Put(std::string_view s) {
    s = s.substr(0, UINT16_MAX);
    const auto [at, added] =
        offsets_.try_emplace(std::string(s), static_cast<std::uint32_t>(w_.bytes().size()));
    if (added) w_.U16Le(static_cast<std::uint16_t>(s.size())).Put(s);
    return at->second;
  }
  const Bytes& bytes() const { return w_.bytes(); }

 private:
  std::map<std::string, std::uint32_t, std::less<>> offsets_;
  Writer w_;
};

// One origin of a content.
struct Row {
  Digest digest;
  std::uint32_t package;
  std::string_view path;
  std::uint32_t allowances;
  friend bool operator==(const Row&, const Row&) = default;
};

// A package with what an earlier index said of it.
struct Listed {
  PackageContent content;
  appraise::Standing standing = appraise::Standing::kGood;
  std::uint64_t since_ms = 0;  // when it was superseded
  std::uint64_t known_ms = 0;  // when it was first in an index
  std::vector<appraise::Advisory> advisories = {};
};

// The versions of a package in their order.
bool IsBefore(const PackageContent& a, const PackageContent& b) {
  if (a.package != b.package) return a.package < b.package;
  if (a.version != b.version)
    if (const int order = CompareVersions(a.version, b.version); order != 0) return order < 0;
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

std::vector<Row> RowsOf(const std::vector<const Listed*>& packages) {
  std::vector<Row> rows;
  for (std::uint32_t i = 0; i < packages.size(); ++i)
    for (const PackagedFile& f : packages[i]->content.files)
      rows.push_back({f.digest, i, f.path, f.allowances});
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(a.digest, a.package, a.path) < std::tie(b.digest, b.package, b.path);
  });
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

// The tables of the file.
struct Tables {
  Strings strings;
  Writer fanout, digests, ranges, origins, packages, paths, allowances, advisories;
  Header counts{};
  std::map<std::vector<appraise::Advisory>, std::uint32_t> lists;  // of advisories -> the first row

  void PutRows(const std::vector<Row>& rows, const std::vector<bool>& absent);
  std::uint32_t PutAdvisories(const std::vector<appraise::Advisory>& list);
  Bytes Lay() const;
};

// Returns the first row. The packages of one source share their rows.
std::uint32_t Tables::PutAdvisories(const std::vector<appraise::Advisory>& list) {
  const auto [at, added] = lists.try_emplace(list, static_cast<std::uint32_t>(counts.advisories));
  if (!added) return at->second;
  for (const appraise::Advisory& a : list) {
    advisories.U32Le(strings.Put(a.id)).U32Le(strings.Put(a.record));
    advisories.U32Le(strings.Put(a.severity)).U32Le(strings.Put(a.fixed));
  }
  counts.advisories += list.size();
  return at->second;
}

// absent: for each package. Content of a superseded version, or denied content, is not what a path should
// hold now.
void Tables::PutRows(const std::vector<Row>& rows, const std::vector<bool>& absent) {
  std::array<std::uint32_t, 257> smaller{};
  std::map<std::string, std::uint32_t> latest;
  std::map<std::uint32_t, std::uint32_t> allowed;  // digest -> kinds
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i == 0 || rows[i].digest != rows[i - 1].digest) {
      digests.Put(rows[i].digest.view());
      ranges.U32Le(static_cast<std::uint32_t>(i));
      ++smaller[rows[i].digest.view()[0] + 1U];
      ++counts.digests;
    }
    origins.U32Le(rows[i].package).U32Le(strings.Put(rows[i].path));
    if (rows[i].allowances != 0)
      allowed[static_cast<std::uint32_t>(counts.digests - 1)] |= rows[i].allowances;
    if (absent[rows[i].package]) continue;
    const auto [at, added] =
        latest.try_emplace(appraise::NormalisePath(rows[i].path), static_cast<std::uint32_t>(i));
    // Of several packages at one path the last in order: of one package the latest version.
    if (!added && rows[i].package > rows[at->second].package) at->second = static_cast<std::uint32_t>(i);
  }
  ranges.U32Le(static_cast<std::uint32_t>(rows.size()));
  std::uint32_t sum = 0;
  for (const std::uint32_t n : smaller) fanout.U32Le(sum += n);
  for (const auto& [key, origin] : latest) paths.U32Le(strings.Put(key)).U32Le(origin);
  for (const auto& [digest, kinds] : allowed) allowances.U32Le(digest).U32Le(kinds);
  counts.allowances = allowed.size();
  counts.origins = rows.size();
  counts.paths = latest.size();
}

// The header, then each table at a multiple of 8.
Bytes Tables::Lay() const {
  Header h = counts;
  h.magic = kMagic;
  h.strings_size = strings.bytes().size();
  Bytes file(sizeof(Header));
  std::size_t size = file.size();
  for (const Writer* w : {&fanout, &digests, &ranges, &origins, &packages, &paths, &allowances, &advisories})
    size += w->bytes().size() + 7;
  file.reserve(size + strings.bytes().size() + 7);
  const auto place = [&](const Bytes& table) {
    const std::uint64_t here = file.size();
    file.insert(file.end(), table.begin(), table.end());
    file.resize((file.size() + 7) & ~std::size_t{7});
    return here;
  };
  h.fanout_at = place(fanout.bytes());
  h.digests_at = place(digests.bytes());
  h.ranges_at = place(ranges.bytes());
  h.origins_at = place(origins.bytes());
  h.packages_at = place(packages.bytes());
  h.paths_at = place(paths.bytes());
  h.strings_at = place(strings.bytes());
  h.allowances_at = place(allowances.bytes());
  h.advisories_at = place(advisories.bytes());
  h.file_size = file.size();
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&h), sizeof(h), file.begin());
  return file;
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

Result<> Builder::Write(const std::string& path) const {
  ASSAY_ASSIGN(const Bytes file, Encode());
  return WriteFileAtomic(path, file, 0644);
}

Result<Bytes> Builder::Encode() const {
  const MutexLock lock(impl_->mutex);
  const std::vector<Listed> denied = impl_->DeniedDigests();
  const std::vector<const Listed*> packages = Sorted(impl_->packages, impl_->former, denied);
  ASSAY_TRY(impl_->CheckMarks(packages));
  const std::vector<Row> rows = RowsOf(packages);
  Tables t;
  const std::vector<std::vector<appraise::Advisory>> advisories = impl_->AdvisoriesOf(packages);
  std::vector<bool> absent;
  for (std::size_t i = 0; i < packages.size(); ++i) {
    const Listed* listed = packages[i];
    const PackageContent* p = &listed->content;
    std::string note;
    const appraise::Standing standing = impl_->StandingOf(*listed, note);
    absent.push_back(listed->since_ms != 0 || p->package == appraise::kDenied);
    t.packages.U32Le(t.strings.Put(p->package)).U32Le(t.strings.Put(p->version));
    t.packages.U32Le(t.strings.Put(p->architecture)).U32Le(t.strings.Put(note));
    t.packages.U32Le(static_cast<std::uint32_t>(standing));
    t.packages.U32Le(static_cast<std::uint32_t>(listed->since_ms / 1000));
    t.packages.U32Le(t.strings.Put(p->source)).U32Le(t.strings.Put(p->source_version));
    t.packages.U32Le(static_cast<std::uint32_t>(listed->known_ms / 1000));
    t.packages.U32Le(advisories[i].empty() ? 0 : t.PutAdvisories(advisories[i]));
    t.packages.U32Le(static_cast<std::uint32_t>(advisories[i].size()));
  }
  t.counts.packages = packages.size();
  t.PutRows(rows, absent);
  if (rows.size() >= kMaxTable || t.strings.bytes().size() >= kMaxTable)
    return Fail(UsageError("too many files for one index"));
  return t.Lay();
}

}  // namespace assay::reference
