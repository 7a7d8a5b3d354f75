#include "reference/image_layer.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "reference/byte_code.h"
#include "reference/file_parts.h"
#include "reference/image_files.h"

namespace assay::reference {
namespace {

constexpr std::size_t kMaxPath = 4096;
constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kAufs = ".wh..wh.";

// Hashes what goes through it.
class HashingPipe : public Pipe {
 public:
  HashingPipe(Pipe& from, HashAlg alg, std::uint64_t max) : from_(from), hasher_(alg), max_(max) {}
  Result<ByteView> Next() override {
    ASSAY_ASSIGN(const ByteView part, from_.Next());
    if (part.size() > max_ - size_) return Fail(BadImage("a layer is too large unpacked"));
    size_ += part.size();
    hasher_.Update(part);
    return part;
  }
  // The digest of all of it, also of what no reader asked for: the padding after the end of an archive.
  Result<Digest> Finish() {
    while (true) {
      ASSAY_ASSIGN(const ByteView part, Next());
      if (part.empty()) return hasher_.Finish();
    }
  }
  std::uint64_t size() const { return size_; }

 private:
  Pipe& from_;
  Hasher hasher_;
  std::uint64_t max_, size_ = 0;
};

// "/usr/bin/ls"; "/" for the folder that all are in.
Result<std::string> PathOf(std::string_view raw) {
  std::string out;
  std::size_t at = 0;
  while (at <= raw.size()) {
    const std::size_t end = std::min(raw.find('/', at), raw.size());
    const std::string_view part = raw.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return Fail(BadImage("a path that leads out of the image: " + Printable(raw)));
    out += '/';
    out += part;
  }
  if (out.size() > kMaxPath) return Fail(BadImage("a path of more than 4096 bytes"));
  return out.empty() ? "/" : out;
}

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// What is below a folder; in a map by path.
template <typename Map>
void EraseBelow(Map& map, const std::string& folder) {
  const std::string base = folder == "/" ? "" : folder;
  map.erase(map.upper_bound(base + "/"), map.lower_bound(base + "0"));  // '0' follows '/'
}

class LayerReader {
 public:
  LayerReader(Layer& out, LayerLimits& limits, ByteCompiler* compiler, const FurtherKinds& kinds)
      : out_(out), limits_(limits), compiler_(compiler), kinds_(kinds) {}

  Result<> Take(archive* tar, archive_entry* entry) {
    const char* raw = archive_entry_pathname(entry);
    if (raw == nullptr) raw = archive_entry_pathname_utf8(entry);
    if (raw == nullptr) return Fail(BadImage("a path that can't be read"));
    ASSAY_ASSIGN(const std::string path, PathOf(raw));
    if (limits_.entries == 0) return Fail(BadImage("too many files"));
    if (limits_.names < path.size()) return Fail(BadImage("too many files: their paths are too long"));
    --limits_.entries;
    limits_.names -= path.size();
    if (path == "/") return {};
    const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
    if (name.starts_with(kWhiteout)) return Whiteout(path, name);
    ASSAY_ASSIGN(LayerEntry what, EntryOf(tar, entry, path));
    return Put(path, std::move(what));
  }

 private:
  Result<> Whiteout(const std::string& path, std::string_view name) {
    const std::string parent = ParentOf(path);
    if (name == kOpaque) {
      out_.opaque.insert(parent);
      return {};
    }
    if (name.starts_with(kAufs)) return {};  // AUFS's own files, which are no content
    const std::string_view of = name.substr(kWhiteout.size());
    if (of.empty() || of == "." || of == "..")
      return Fail(BadImage("a whiteout that names nothing: " + Printable(path)));
    out_.whiteouts.insert((parent == "/" ? "" : parent) + "/" + std::string(of));
    return {};
  }

  Result<LayerEntry> EntryOf(archive* tar, archive_entry* entry, const std::string& path) {
    LayerEntry out;
    if (const char* link = archive_entry_hardlink(entry); link != nullptr) {
      ASSAY_ASSIGN(out.target, PathOf(link));
      out.kind = LayerEntry::Kind::kLink;
      const auto target = out_.entries.find(out.target);
      if (target == out_.entries.end()) return out;  // of a lower layer
      if (target->second.kind == LayerEntry::Kind::kFolder)
        return Fail(BadImage("a hard link to a folder: " + Printable(path)));
      return target->second;
    }
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) out.kind = LayerEntry::Kind::kFolder;
    if (type != AE_IFREG) return out;
    out.kind = LayerEntry::Kind::kFile;
    Budget budget{.format = "image", .left = limits_.content};
    const Parts parts{.files = out.file.parts, .byte_code = &out.file.byte_code, .kinds = kinds_};
    ASSAY_ASSIGN(PackagedFile file, ReadParts(tar, entry, {.path = path, .archive = out_.name}, budget,
                                              compiler_, parts, nullptr));
    out.file.digest = file.digest;
    out.file.further = std::move(file.further);
    limits_.content = budget.left;
    return out;
  }

  // A later entry of one path is in place of the earlier one, and of what was below it.
  Result<> Put(const std::string& path, LayerEntry entry) {
    for (std::string above = ParentOf(path); above != "/"; above = ParentOf(above)) {
      const auto found = out_.entries.find(above);
      if (found == out_.entries.end()) continue;
      if (found->second.kind == LayerEntry::Kind::kFolder) break;
      return Fail(BadImage(Printable(path) + " is below " + Printable(above) + ", which is no folder"));
    }
    if (entry.kind != LayerEntry::Kind::kFolder) EraseBelow(out_.entries, path);
    out_.entries.insert_or_assign(path, std::move(entry));
    return {};
  }

  Layer& out_;
  LayerLimits& limits_;
  ByteCompiler* compiler_;
  const FurtherKinds& kinds_;
};

}  // namespace

Result<Layer> ReadLayer(Pipe& blob, const LayerName& name, LayerLimits& limits, ByteCompiler* compiler,
                        const FurtherKinds& kinds) {
  Layer out;
  out.name = name.name;
  HashingPipe packed(blob, name.alg, UINT64_MAX);
  const ArchivePtr raw(archive_read_new());
  AddFilters(raw.get());
  archive_read_support_format_raw(raw.get());
  archive_read_support_format_empty(raw.get());
  ASSAY_TRY(OpenPipe(raw.get(), packed, name.name));
  archive_entry* entry = nullptr;
  ASSAY_ASSIGN(const bool some, NextEntry(raw.get(), &entry, name.name));
  if (!some) return Fail(BadImage(name.name + " is empty"));
  // The last filter is none.
  if (archive_filter_count(raw.get()) > 2) return Fail(BadImage(name.name + " is packed more than once"));
  const auto content = std::make_unique<PipeFromEntry>(raw.get());
  HashingPipe unpacked(*content, name.unpacked_alg, limits.unpacked);
  const ArchivePtr tar(archive_read_new());
  archive_read_support_format_tar(tar.get());
  ASSAY_TRY(OpenPipe(tar.get(), unpacked, name.name));
  LayerReader reader(out, limits, compiler, kinds);
  while (true) {
    ASSAY_ASSIGN(const bool more, NextEntry(tar.get(), &entry, name.name));
    if (!more) break;
    if (Result<> taken = reader.Take(tar.get(), entry); !taken) return Fail(taken.error().In(name.name));
  }
  ASSAY_ASSIGN(out.unpacked, unpacked.Finish());
  ASSAY_ASSIGN(out.packed, packed.Finish());
  out.size = packed.size();
  limits.unpacked -= unpacked.size();
  return out;
}

Result<> ApplyLayer(const Layer& layer, ImageTree& tree) {
  // A hard link's target may be a file of a lower layer that this one deletes.
  std::map<std::string, LayerFile> linked;
  for (const auto& [path, entry] : layer.entries) {
    if (entry.kind != LayerEntry::Kind::kLink) continue;
    const auto target = tree.find(entry.target);
    if (target == tree.end())
      return Fail(BadImage(layer.name + ": a hard link without a target: " + Printable(path)));
    linked.emplace(path, target->second);
  }
  for (const std::string& path : layer.whiteouts) {
    tree.erase(path);
    EraseBelow(tree, path);
  }
  for (const std::string& folder : layer.opaque) EraseBelow(tree, folder);
  for (const auto& [path, entry] : layer.entries) {
    // A file of a lower layer that has the name of one of its folders.
    for (std::string above = ParentOf(path); above != "/"; above = ParentOf(above)) tree.erase(above);
    tree.erase(path);
    if (entry.kind == LayerEntry::Kind::kFolder) continue;
    EraseBelow(tree, path);
    if (entry.kind == LayerEntry::Kind::kFile) tree.insert_or_assign(path, entry.file);
    if (entry.kind == LayerEntry::Kind::kLink) tree.insert_or_assign(path, linked.at(path));
  }
  return {};
}

}  // namespace assay::reference
