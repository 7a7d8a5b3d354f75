#include "reference/package_file.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "reference/archive.h"
#include "reference/byte_code.h"
#include "reference/file_parts.h"

namespace assay::reference {
namespace {

constexpr std::size_t kMaxControl = 1 << 20;
constexpr std::string_view kFormat = "deb";
// The maintainer scripts (Debian Policy 6.1), and the one of debconf (debconf-devel(7)).
constexpr std::array<std::string_view, 5> kScripts{"config", "postinst", "postrm", "preinst", "prerm"};

Error Bad(const std::string& what) { return ParseError(std::string(kFormat), 0, what); }

// Collects the byte code of a package's Python sources. links: other names of sources; a source is compiled
// for each of its names.
struct Sources {
  ByteCompiler& compiler;
  std::vector<PackagedFile>& byte_code;
  std::multimap<std::string, std::string> links;  // the source -> the other name

  void Compile(const std::string& path, std::int64_t mtime, ByteView source) {
    std::ranges::move(compiler.Compile(path, mtime, source), std::back_inserter(byte_code));
  }
};

// The names of a control file's fields are in any case, and blanks and tabs may surround a value (Debian
// Policy 5.1).
std::string FieldOf(std::string_view control, std::string_view name) {
  std::size_t at = 0;
  while (at < control.size()) {
    const std::size_t end = std::min(control.find('\n', at), control.size());
    std::string_view line = control.substr(at, end - at);
    at = end + 1;
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        strncasecmp(line.data(), name.data(), name.size()) != 0)
      continue;
    line.remove_prefix(name.size() + 1);
    const std::size_t first = std::min(line.find_first_not_of(" \t"), line.size());
    const std::size_t last = line.find_last_not_of(" \t\r");
    return std::string(line.substr(first, last == std::string_view::npos ? 0 : last + 1 - first));
  }
  return "";
}

// dpkg keeps the scripts of a package that may be installed for several architectures under the name of each
// (dpkg, lib/dpkg/db-ctrl-access.c).
std::string ScriptPath(const PackageContent& of, std::string_view control, const std::string& script) {
  const bool several = FieldOf(control, "Multi-Arch") == "same";
  return "/var/lib/dpkg/info/" + of.package + (several ? ":" + of.architecture : "") + "." + script;
}

// "openssl (3.0.11-1)" names the source package and its version where they differ from the package's own. The
// source of a kernel that the archive has signed is "linux-signed-amd64" of version "6.1.76+1"; it is the
// source "linux" of the package's version.
void TakeSource(std::string_view field, PackageContent& out) {
  const std::size_t open = field.find(" (");
  const std::size_t close = open == std::string_view::npos ? open : field.find(')', open);
  out.source = field.empty() ? out.package : std::string(field.substr(0, open));
  out.source_version =
      close == std::string_view::npos ? out.version : std::string(field.substr(open + 2, close - open - 2));
  if (const std::size_t is_signed = out.source.find("-signed-"); is_signed != std::string::npos) {
    out.source.resize(is_signed);
    out.source_version = out.version;
  }
}

// Its own changelog: of Debian's changes, or that of a package which is only Debian's.
bool IsChangelog(std::string_view path, std::string_view package) {
  constexpr std::string_view kDoc = "/usr/share/doc/";
  if (!path.starts_with(kDoc) || !path.ends_with(".gz")) return false;
  path.remove_prefix(kDoc.size());
  if (!path.starts_with(package)) return false;
  path.remove_prefix(package.size());
  return path == "/changelog.Debian.gz" || path == "/changelog.gz";
}

Result<> ReadControl(Pipe& member, const std::string& path, const FurtherKinds& kinds, PackageContent& out) {
  ASSAY_ASSIGN(const ArchivePtr inner, OpenTar(member, path));
  FurtherHasher further(kinds);
  Budget left{.format = kFormat, .left = kMaxUnpacked};
  std::string control;
  std::vector<PackagedFile> scripts;  // by their names in the archive, until the package's name is known
  while (true) {
    archive_entry* entry = nullptr;
    ASSAY_ASSIGN(const bool more, NextEntry(inner.get(), &entry, path));
    if (!more) break;
    const char* raw = archive_entry_pathname(entry);
    if (raw == nullptr) continue;
    const std::string name = Absolute(raw).substr(1);
    if (archive_entry_filetype(entry) == AE_IFREG &&
        std::find(kScripts.begin(), kScripts.end(), name) != kScripts.end()) {
      if (scripts.size() >= kMaxFiles) return Fail(Bad(path + ": too many files"));
      ASSAY_ASSIGN(const Digest digest, HashEntry(inner.get(), path, left, nullptr, 0, &further));
      scripts.push_back({.path = name, .digest = digest, .further = further.Finish()});
    }
    if (name != "control") continue;
    const la_int64_t size = archive_entry_size(entry);
    if (size < 0 || static_cast<std::size_t>(size) > kMaxControl) return Fail(Bad("control file too large"));
    control.assign(static_cast<std::size_t>(size), '\0');
    if (archive_read_data(inner.get(), control.data(), control.size()) != size)
      return Fail(ArchiveError(inner.get(), path));
  }
  out.package = FieldOf(control, "Package");
  out.version = FieldOf(control, "Version");
  out.architecture = FieldOf(control, "Architecture");
  if (out.package.empty() || out.version.empty()) return Fail(Bad(path + ": no Package or Version"));
  TakeSource(FieldOf(control, "Source"), out);
  for (PackagedFile& script : scripts) {
    script.path = ScriptPath(out, control, script.path);
    out.files.push_back(std::move(script));
  }
  return {};
}

// Notes an entry that is another name of a source: a hard link or a symbolic link.
void TakeLink(archive_entry* entry, const std::string& name, Sources& sources) {
  const char* hard = archive_entry_hardlink(entry);
  const char* symbolic = archive_entry_filetype(entry) == AE_IFLNK ? archive_entry_symlink(entry) : nullptr;
  if ((hard == nullptr && symbolic == nullptr) || !sources.compiler.Takes(name)) return;
  std::string target = hard != nullptr ? Absolute(hard) : std::string(symbolic);
  if (!target.starts_with('/'))
    target = (std::filesystem::path(name).parent_path() / target).lexically_normal().string();
  sources.links.emplace(std::move(target), name);
}

// Empty if it can't be unpacked: then no CVE is known by it.
std::vector<ChangelogEntry> UnpackedChangelog(ByteView packed) {
  const ArchivePtr a = OpenPacked(packed);
  if (a == nullptr) return {};
  Budget left{.format = kFormat, .left = kMaxChangelog};
  Bytes text;
  if (!HashEntry(a.get(), "", left, &text)) return {};
  return ParseChangelog(AsText(text));
}

Result<> ReadData(Pipe& member, const std::string& path, const FurtherKinds& kinds, PackageContent& out,
                  Sources* sources) {
  ASSAY_ASSIGN(const ArchivePtr inner, OpenTar(member, path));
  std::map<std::string, std::size_t> by_path;  // for hard links
  Budget left{.format = kFormat, .left = kMaxUnpacked};
  while (true) {
    archive_entry* entry = nullptr;
    ASSAY_ASSIGN(const bool more, NextEntry(inner.get(), &entry, path));
    if (!more) return {};
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) continue;
    if (out.files.size() + (sources != nullptr ? sources->links.size() : 0) >= kMaxFiles)
      return Fail(Bad(path + ": too many files"));
    PackagedFile file{.path = Absolute(name), .digest = {}};
    if (sources != nullptr) TakeLink(entry, file.path, *sources);
    if (const char* link = archive_entry_hardlink(entry); link != nullptr) {
      const auto target = by_path.find(Absolute(link));
      if (target == by_path.end()) return Fail(Bad(path + ": a hard link without a target: " + file.path));
      file.digest = out.files[target->second].digest;
      file.further = out.files[target->second].further;
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      Bytes content;
      const bool changelog = IsChangelog(file.path, out.package);
      ASSAY_ASSIGN(file, ReadParts(inner.get(), entry, {.path = file.path, .archive = path}, left,
                                   sources != nullptr ? &sources->compiler : nullptr,
                                   {.files = out.files,
                                    .byte_code = sources != nullptr ? &sources->byte_code : nullptr,
                                    .kinds = kinds},
                                   changelog ? &content : nullptr));
      if (changelog && out.changelog.empty()) out.changelog = UnpackedChangelog(content);
    } else {
      continue;
    }
    by_path[file.path] = out.files.size();
    out.files.push_back(std::move(file));
  }
}

// Reads the package again for the sources that have other names, because a link may come before its source.
Result<> ReadLinked(Pipe& member, const std::string& path, Sources& sources) {
  ASSAY_ASSIGN(const ArchivePtr inner, OpenTar(member, path));
  Budget left{.format = kFormat, .left = kMaxUnpacked};
  while (!sources.links.empty()) {
    archive_entry* entry = nullptr;
    ASSAY_ASSIGN(const bool more, NextEntry(inner.get(), &entry, path));
    if (!more) break;
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG ||
        archive_entry_hardlink(entry) != nullptr ||
        archive_entry_size(entry) > static_cast<la_int64_t>(kMaxSource))
      continue;
    const auto [from, to] = sources.links.equal_range(Absolute(name));
    if (from == to) continue;
    Bytes content;
    ASSAY_TRY(HashEntry(inner.get(), path, left, &content));
    for (auto link = from; link != to; ++link)
      sources.Compile(link->second, archive_entry_mtime(entry), content);
    sources.links.erase(from, to);
  }
  // Their source is in another package.
  for (const auto& [target, link] : sources.links) sources.compiler.LeaveOut(link);
  return {};
}

Result<> FollowLinks(archive* outer, const std::string& path, Sources& sources) {
  while (true) {
    archive_entry* entry = nullptr;
    ASSAY_ASSIGN(const bool more, NextEntry(outer, &entry, path));
    if (!more) return {};
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || !std::string_view(name).starts_with("data.tar")) continue;
    const auto member = std::make_unique<PipeFromEntry>(outer);
    return ReadLinked(*member, path, sources);
  }
}

Result<PackageContent> ReadOuter(archive* outer, const std::string& path, const FurtherKinds& kinds,
                                 Sources* sources) {
  PackageContent out;
  bool control = false;
  bool data = false;
  while (true) {
    archive_entry* entry = nullptr;
    ASSAY_ASSIGN(const bool more, NextEntry(outer, &entry, path));
    if (!more) break;
    const char* raw_name = archive_entry_pathname(entry);
    const std::string_view name = raw_name != nullptr ? raw_name : "";
    const bool is_control = name.starts_with("control.tar");
    if (!is_control && !name.starts_with("data.tar")) continue;
    // dpkg would read only the first one, so a repeated member is meant to deceive.
    if (std::exchange(is_control ? control : data, true))
      return Fail(Bad(path + ": two members " + std::string(name)));
    const auto member = std::make_unique<PipeFromEntry>(outer);
    if (is_control) {
      ASSAY_TRY(ReadControl(*member, path, kinds, out));
    } else {
      ASSAY_TRY(ReadData(*member, path, kinds, out, sources));
    }
  }
  if (!control || !data) return Fail(Bad(path + ": not a Debian package"));
  return out;
}

Result<ArchivePtr> OpenDeb(const std::string& path) {
  ArchivePtr outer(archive_read_new());
  archive_read_support_format_ar(outer.get());
  if (archive_read_open_filename(outer.get(), path.c_str(), kBlock) != ARCHIVE_OK)
    return Fail(ArchiveError(outer.get(), path));
  return outer;
}

}  // namespace

Result<PackageContent> ReadDeb(const std::string& path, ByteCompiler* compiler,
                               std::vector<PackagedFile>* byte_code, const FurtherKinds& kinds) {
  ASSAY_ASSIGN(const ArchivePtr outer, OpenDeb(path));
  if (compiler == nullptr || byte_code == nullptr) return ReadOuter(outer.get(), path, kinds, nullptr);
  Sources sources{.compiler = *compiler, .byte_code = *byte_code, .links = {}};
  ASSAY_ASSIGN(PackageContent content, ReadOuter(outer.get(), path, kinds, &sources));
  if (!sources.links.empty()) {
    ASSAY_ASSIGN(const ArchivePtr again, OpenDeb(path));
    ASSAY_TRY(FollowLinks(again.get(), path, sources));
  }
  return content;
}

Result<PackageContent> ReadDebBytes(ByteView bytes, const std::string& name) {
  const ArchivePtr outer(archive_read_new());
  archive_read_support_format_ar(outer.get());
  if (archive_read_open_memory(outer.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    return Fail(ArchiveError(outer.get(), name));
  return ReadOuter(outer.get(), name, {}, nullptr);
}

}  // namespace assay::reference
