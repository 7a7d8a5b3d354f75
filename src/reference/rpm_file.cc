#include "reference/rpm_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/mapped.h"
#include "base/text.h"
#include "reference/archive.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "rpm";
constexpr std::size_t kLead = 96, kIntro = 16, kEntry = 16;
constexpr std::uint32_t kLeadMagic = 0xEDABEEDB, kHeaderMagic = 0x8EADE801;
constexpr std::uint32_t kMaxEntries = 65536, kMaxStore = 0x0FFFFFFF;  // rpm's own bounds
constexpr std::size_t kMaxText = 200;                                 // bytes of a name or a version

// rpmtag.h
enum Tag : std::uint32_t {
  kSha256Header = 273,  // in the signature's header
  kName = 1000,
  kVersion = 1001,
  kRelease = 1002,
  kEpoch = 1003,
  kArch = 1022,
  kFileModes = 1030,
  kFileDigests = 1035,
  kFileFlags = 1037,
  kSourceRpm = 1044,
  kDirIndexes = 1116,
  kBaseNames = 1117,
  kDirNames = 1118,
  kDigestAlgorithm = 5011,
};
constexpr std::uint32_t kLastRegion = 63;  // 61 to 63: what is signed, told by offsets of its own
constexpr std::uint32_t kSha256 = 8;       // of OpenPGP's numbers (RFC 4880, section 9.4)
constexpr std::uint32_t kGhost = 1 << 6;   // a file that the package owns and does not have
constexpr std::uint32_t kFormatBits = 0170000, kRegular = 0100000;

// The type of an entry: the size of one value, and its alignment. 0: strings.
constexpr std::uint32_t kSizes[] = {1, 1, 1, 2, 4, 8, 0, 1, 0, 0};
enum Type : std::uint32_t { kInt16 = 3, kInt32 = 4, kString = 6, kStrings = 8, kTranslated = 9 };

struct Entry {
  std::uint32_t type = 0, count = 0;
  ByteView data;
};

class Header {
 public:
  // at: gets the first byte after the header.
  static Result<Header> Read(Reader& r) {
    Header out;
    const ByteView all = r.rest();
    ASSAY_ASSIGN(const std::uint32_t magic, r.U32Be("magic"));
    ASSAY_TRY(r.U32Be("reserved"));
    ASSAY_ASSIGN(const std::uint32_t entries, r.U32Be("number of entries"));
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Be("size of the store"));
    if (magic != kHeaderMagic) return Fail(r.Bad("no header"));
    if (entries == 0 || entries > kMaxEntries || size > kMaxStore)
      return Fail(r.Bad("a header out of bounds"));
    ASSAY_ASSIGN(const ByteView index, r.Take(entries * kEntry, "entries"));
    ASSAY_ASSIGN(const ByteView store, r.Take(size, "store"));
    out.bytes_ = all.first(kIntro + index.size() + store.size());
    Reader e(index, kFormat, r.offset() - store.size() - index.size());
    std::vector<std::pair<std::size_t, std::size_t>> taken;  // from, to
    for (std::uint32_t i = 0; i < entries; ++i) {
      ASSAY_ASSIGN(const std::uint32_t tag, e.U32Be());
      Entry entry;
      ASSAY_ASSIGN(entry.type, e.U32Be());
      ASSAY_ASSIGN(const std::uint32_t offset, e.U32Be());
      ASSAY_ASSIGN(entry.count, e.U32Be());
      if (tag <= kLastRegion && i > 0) return Fail(e.Bad("a region that is not the first entry"));
      if (entry.type >= std::size(kSizes) || entry.count == 0)
        return Fail(e.Bad("an entry of no known type"));
      if (offset > size) return Fail(e.Bad("an entry outside the store"));
      ASSAY_ASSIGN(const std::size_t length, LengthOf(entry, store.subspan(offset), e));
      taken.emplace_back(offset, offset + length);
      entry.data = store.subspan(offset, length);
      if (!out.entries_.emplace(tag, entry).second) return Fail(e.Bad(fmt::format("tag {} twice", tag)));
    }
    std::sort(taken.begin(), taken.end());
    for (std::size_t i = 1; i < taken.size(); ++i)
      if (taken[i].first < taken[i - 1].second) return Fail(e.Bad("entries that lie over each other"));
    return out;
  }

  ByteView bytes() const { return bytes_; }
  bool Has(Tag tag) const { return entries_.contains(tag); }

  // Empty where there is none.
  Result<std::string> Text(Tag tag) const {
    const Entry* entry = Find(tag, {kString, kTranslated});
    if (entry == nullptr) return Has(tag) ? Result<std::string>(Fail(Bad(tag))) : Result<std::string>("");
    const std::string_view text = AsText(entry->data);
    return std::string(text.substr(0, text.find('\0')));
  }
  Result<std::vector<std::string_view>> Texts(Tag tag) const {
    std::vector<std::string_view> out;
    const Entry* entry = Find(tag, {kStrings});
    if (entry == nullptr) return Fail(Bad(tag));
    std::string_view text = AsText(entry->data);
    while (!text.empty()) {
      out.push_back(text.substr(0, text.find('\0')));
      text.remove_prefix(out.back().size() + 1);
    }
    return out;
  }
  Result<std::vector<std::uint32_t>> Numbers(Tag tag) const {
    std::vector<std::uint32_t> out;
    const Entry* entry = Find(tag, {kInt16, kInt32});
    if (entry == nullptr) return Fail(Bad(tag));
    Reader r(entry->data, kFormat);
    while (!r.done()) {
      if (entry->type == kInt16) {
        ASSAY_ASSIGN(const std::uint16_t n, r.U16Be());
        out.push_back(n);
      } else {
        ASSAY_ASSIGN(const std::uint32_t n, r.U32Be());
        out.push_back(n);
      }
    }
    return out;
  }

 private:
  // The bytes that the entry's values take. Strings are as many as `count` says, each to its zero byte.
  static Result<std::size_t> LengthOf(const Entry& entry, ByteView from, const Reader& at) {
    if (const std::uint32_t size = kSizes[entry.type]; size != 0) {
      const std::uint64_t length = std::uint64_t{size} * entry.count;
      if (length > from.size()) return Fail(at.Bad("an entry outside the store"));
      return static_cast<std::size_t>(length);
    }
    if (entry.type == kString && entry.count != 1) return Fail(at.Bad("a string that is several"));
    std::size_t length = 0;
    for (std::uint32_t i = 0; i < entry.count; ++i) {
      const std::size_t end = AsText(from.subspan(length)).find('\0');
      if (end == std::string_view::npos) return Fail(at.Bad("a string without an end"));
      length += end + 1;
    }
    return length;
  }
  const Entry* Find(Tag tag, std::initializer_list<std::uint32_t> types) const {
    const auto found = entries_.find(tag);
    if (found == entries_.end() || std::find(types.begin(), types.end(), found->second.type) == types.end())
      return nullptr;
    return &found->second;
  }
  static Error Bad(Tag tag) {
    return ParseError(std::string(kFormat), 0,
                      fmt::format("tag {} is missing or of another type", static_cast<std::uint32_t>(tag)));
  }

  ByteView bytes_;
  std::map<std::uint32_t, Entry> entries_;
};

Error Bad(const std::string& what) { return ParseError(std::string(kFormat), 0, what); }

Result<> CheckPath(std::string_view path) {
  if (!path.starts_with('/') || (std::string(path) + "/").find("/../") != std::string::npos)
    return Fail(Bad("a path that leads out of the package: " + Printable(path)));
  return {};
}

Result<> TakeFiles(const Header& h, PackageContent& out) {
  if (!h.Has(kBaseNames)) return {};  // a package without files
  ASSAY_ASSIGN(const auto names, h.Texts(kBaseNames));
  ASSAY_ASSIGN(const auto folders, h.Texts(kDirNames));
  ASSAY_ASSIGN(const auto indexes, h.Numbers(kDirIndexes));
  ASSAY_ASSIGN(const auto modes, h.Numbers(kFileModes));
  ASSAY_ASSIGN(const auto flags, h.Numbers(kFileFlags));
  ASSAY_ASSIGN(const auto digests, h.Texts(kFileDigests));
  const std::size_t n = names.size();
  if (n > kMaxFiles) return Fail(Bad("too many files"));
  if (indexes.size() != n || modes.size() != n || flags.size() != n || digests.size() != n)
    return Fail(Bad("lists of files of other lengths"));
  for (std::size_t i = 0; i < n; ++i) {
    if (indexes[i] >= folders.size()) return Fail(Bad("a file in no folder"));
    if ((modes[i] & kFormatBits) != kRegular || (flags[i] & kGhost) != 0 || digests[i].empty()) continue;
    std::string path = std::string(folders[indexes[i]]) + std::string(names[i]);
    ASSAY_TRY(CheckPath(path));
    const Result<Bytes> bytes = FromHex(digests[i]);
    const Result<Digest> digest = bytes ? Digest::Of(HashAlg::kSha256, *bytes) : Fail(bytes.error());
    if (!digest) return Fail(Bad("a file digest that is not SHA-256: " + Printable(path)));
    out.files.push_back({.path = std::move(path), .digest = *digest});
  }
  ASSAY_ASSIGN(const auto algorithm, h.Numbers(kDigestAlgorithm));
  if (!out.files.empty() && (algorithm.size() != 1 || algorithm[0] != kSha256))
    return Fail(Bad("file digests of another algorithm than SHA-256"));
  return {};
}

}  // namespace

Result<PackageContent> ReadRpmBytes(ByteView bytes, const std::string& name) {
  const auto read = [&]() -> Result<PackageContent> {
    Reader r(bytes, kFormat);
    ASSAY_ASSIGN(const std::uint32_t lead, r.U32Be("lead"));
    if (lead != kLeadMagic) return Fail(r.BadAt(0, "not an rpm package"));
    ASSAY_TRY(r.Take(kLead - 4, "lead"));
    ASSAY_ASSIGN(const Header signature, Header::Read(r));
    ASSAY_TRY(r.Take((8 - signature.bytes().size() % 8) % 8, "padding"));
    ASSAY_ASSIGN(const Header h, Header::Read(r));
    ASSAY_ASSIGN(const std::string said, signature.Text(kSha256Header));
    if (said.empty()) return Fail(Bad("a header without a SHA-256 digest (of an rpm before 4.14)"));
    if (said != Hash(HashAlg::kSha256, h.bytes()).hex())
      return Fail(Bad("the header is not what its digest says"));
    PackageContent out;
    for (const auto& [tag, to] : {std::pair<Tag, std::string*>(kName, &out.package),
                                  {kVersion, &out.version},
                                  {kArch, &out.architecture},
                                  {kSourceRpm, &out.source}}) {
      ASSAY_ASSIGN(const std::string text, h.Text(tag));
      *to = PrintableAscii(text.substr(0, kMaxText));
    }
    ASSAY_ASSIGN(const std::string release, h.Text(kRelease));
    if (out.package.empty() || out.version.empty() || release.empty()) return Fail(Bad("no name or version"));
    out.version += "-" + PrintableAscii(release.substr(0, kMaxText));
    if (h.Has(kEpoch)) {
      ASSAY_ASSIGN(const auto epoch, h.Numbers(kEpoch));
      if (epoch.size() == 1 && epoch[0] != 0) out.version = fmt::format("{}:{}", epoch[0], out.version);
    }
    if (!out.source.ends_with(kRpmSource)) return Fail(Bad("a source package, or one of no source"));
    out.source_version = out.version;
    ASSAY_TRY(TakeFiles(h, out));
    return out;
  };
  Result<PackageContent> content = read();
  if (!content) return Fail(content.error().In(name));
  return content;
}

Result<PackageContent> ReadRpm(const std::string& path) {
  ASSAY_ASSIGN(const MappedFile file, MappedFile::Open(path));
  return ReadRpmBytes(file.view(), path);
}

}  // namespace assay::reference
