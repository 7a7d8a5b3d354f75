#include "reference/file_parts.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "reference/byte_code.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "deb";

}  // namespace

ArchivePtr OpenPacked(ByteView packed) {
  ArchivePtr a(archive_read_new());
  AddFilters(a.get());
  archive_read_support_format_raw(a.get());
  archive_entry* entry = nullptr;
  if (archive_read_open_memory(a.get(), packed.data(), packed.size()) != ARCHIVE_OK) return nullptr;
  const Result<bool> there = NextEntry(a.get(), &entry, "");
  if (!there || !*there || archive_filter_code(a.get(), 0) == ARCHIVE_FILTER_NONE) return nullptr;
  return a;
}

bool IsPackedModule(std::string_view path) {
  return path.ends_with(".ko.xz") || path.ends_with(".ko.zst") || path.ends_with(".ko.gz");
}

std::optional<PackagedFile> UnpackedModule(const std::string& path, ByteView packed) {
  const ArchivePtr a = OpenPacked(packed);
  if (a == nullptr) return std::nullopt;
  Budget left{.format = kFormat, .left = kMaxModule};
  const Result<Digest> digest = HashEntry(a.get(), path, left, nullptr);
  if (!digest) return std::nullopt;
  return PackagedFile{path.substr(0, path.rfind('.')), *digest};
}

bool IsWheel(std::string_view path) { return path.ends_with(".whl"); }

void AddWheel(const std::string& path, ByteView wheel, std::vector<PackagedFile>& files,
              ByteCompiler* compiler, std::vector<PackagedFile>* byte_code) {
  const ArchivePtr a(archive_read_new());
  archive_read_support_format_zip(a.get());
  if (archive_read_open_memory(a.get(), wheel.data(), wheel.size()) != ARCHIVE_OK) return;
  std::vector<PackagedFile> found, compiled;
  Budget left{.format = kFormat, .left = kMaxWheel};
  while (true) {
    archive_entry* entry = nullptr;
    const Result<bool> more = NextEntry(a.get(), &entry, path);
    if (!more || found.size() >= kMaxFiles) return;
    if (!*more) break;
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG) continue;
    const std::string member = path + Absolute(name);
    const bool source = compiler != nullptr && compiler->Takes(member);
    Bytes content;
    const Result<Digest> digest = HashEntry(a.get(), path, left, source ? &content : nullptr);
    if (!digest) return;
    found.push_back({member, *digest});
    // A source gets its time stamp when it is installed.
    if (source && byte_code != nullptr)
      std::ranges::move(compiler->Compile(member, std::nullopt, content), std::back_inserter(compiled));
  }
  std::ranges::move(found, std::back_inserter(files));
  if (byte_code != nullptr) std::ranges::move(compiled, std::back_inserter(*byte_code));
}

Result<PackagedFile> ReadParts(archive* a, archive_entry* entry, const EntryName& name, Budget& budget,
                               ByteCompiler* compiler, const Parts& out, Bytes* keep) {
  const la_int64_t size = archive_entry_size(entry);
  const bool module = IsPackedModule(name.path);
  const bool wheel = IsWheel(name.path) && size <= static_cast<la_int64_t>(kMaxWheel);
  bool source = compiler != nullptr && compiler->Takes(name.path);
  if (source && size > static_cast<la_int64_t>(kMaxSource)) {
    compiler->LeaveOut(name.path);
    source = false;
  }
  Bytes own;
  if (keep == nullptr && (module || wheel || source)) keep = &own;
  FurtherHasher further(out.kinds);
  ASSAY_ASSIGN(const Digest digest,
               HashEntry(a, name.archive, budget, keep,
                         static_cast<std::uint64_t>(std::max<la_int64_t>(size, 0)), &further));
  if (auto unpacked = module ? UnpackedModule(name.path, *keep) : std::nullopt)
    out.files.push_back(std::move(*unpacked));
  if (source)
    std::ranges::move(compiler->Compile(name.path, archive_entry_mtime(entry), *keep),
                      std::back_inserter(*out.byte_code));
  if (wheel) AddWheel(name.path, *keep, out.files, compiler, out.byte_code);
  return PackagedFile{.path = name.path, .digest = digest, .further = further.Finish()};
}

}  // namespace assay::reference
