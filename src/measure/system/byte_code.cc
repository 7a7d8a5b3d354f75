#include "measure/system/byte_code.h"

#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/digest_text.h"
#include "base/fd.h"
#include "base/json_members.h"
#include "list/path_text.h"
#include "measure/system/marshal.h"

namespace assay::measure {
namespace {

constexpr std::string_view kSuffix = ".pyc", kFolder = "__pycache__";
constexpr std::string_view kFirst = "assay byte code 3\n";
constexpr std::array<std::uint8_t, 4> kPython311{0xa7, 0x0d, 0x0d, 0x0a};
constexpr std::size_t kHeader = 16;  // magic number, flags, time stamp and size of the source
constexpr std::size_t kMaxBuffer = 64 << 10;
// Types of marshal (Python/marshal.c): text of ASCII with a short or a long length, and other text, each
// also as an interned one. The flag says that it may be referred to.
constexpr std::string_view kShortAscii = "zZ", kAscii = "aA", kUnicode = "ut";
constexpr std::uint8_t kFlagRef = 0x80;

constexpr JsonText kDigest{[](const Digest& digest) { return digest.ToString(); }, ParseDigest};
constexpr auto kByteCode = [](auto& visit, auto& r) {
  visit("path", r.path);
  visit("digest", r.digest, kDigest);
  visit("code", r.code, kDigest);
};

// "/a/m.py" for "/a/__pycache__/m.cpython-311.pyc" (PEP 3147); empty for other paths.
std::string SourceOf(std::string_view path) {
  if (!path.ends_with(kSuffix)) return "";
  path.remove_suffix(kSuffix.size());
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !path.substr(0, slash).ends_with(kFolder)) return "";
  const std::string_view folder = path.substr(0, slash - kFolder.size());
  const std::string_view name = path.substr(slash + 1);
  const std::size_t tag = name.rfind('.');
  if (!folder.ends_with('/') || tag == std::string_view::npos || tag == 0) return "";
  return std::string(folder) + std::string(name.substr(0, tag)) + ".py";
}

// How marshal writes a text, but for its type: the length and the text.
struct Marshalled {
  Bytes bytes;
  std::string_view types;
};
Marshalled MarshalledText(std::string_view text) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  Writer w;
  if (ascii && text.size() < 256)
    w.U8(static_cast<std::uint8_t>(text.size()));
  else
    w.U32Le(static_cast<std::uint32_t>(text.size()));
  w.Put(text);
  return {w.Take(), !ascii ? kUnicode : text.size() < 256 ? kShortAscii : kAscii};
}

// memmem() needs linear time, also for content that somebody made to be slow.
std::optional<std::size_t> Find(ByteView in, std::size_t from, const Bytes& what) {
  const ByteView left = in.subspan(std::min(from, in.size()));
  const void* found = left.empty() ? nullptr : memmem(left.data(), left.size(), what.data(), what.size());
  if (found == nullptr) return std::nullopt;
  return static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - in.data());
}

// With its length, so that nothing in it is taken for the end of it.
void HashPart(Hasher& hasher, ByteView part) {
  Writer length;
  length.U64Le(part.size());
  hasher.Update(length.Take());
  hasher.Update(part);
}

}  // namespace

std::optional<Digest> CodeDigest(ByteView content, std::string_view path) {
  const std::string source = SourceOf(path);
  if (source.empty() || content.size() < kHeader) return std::nullopt;
  const ByteView flags = content.subspan(4, 4);
  if (std::any_of(flags.begin(), flags.end(), [](std::uint8_t b) { return b != 0; })) return std::nullopt;
  Hasher hasher(HashAlg::kSha256);
  hasher.Update(AsBytes(kFirst));
  hasher.Update(content.first(4));
  hasher.Update(content.subspan(12, 4));
  const Marshalled name = MarshalledText(source);
  const bool is_known = Equal(content.first(4), kPython311);
  const Bytes code = is_known ? WithoutInternedMarks(content.subspan(kHeader)) : Bytes();
  ByteView rest = is_known ? ByteView(code) : content.subspan(kHeader);  // what is not hashed yet
  std::size_t at = 0;  // where the next name is looked for in it
  while (const auto found = Find(rest, at, name.bytes)) {
    at = *found + 1;
    if (*found == 0) continue;
    const std::uint8_t type = rest[*found - 1];
    if (name.types.find(static_cast<char>(type & ~kFlagRef)) == std::string_view::npos) continue;
    HashPart(hasher, rest.first(*found - 1));
    const std::array<std::uint8_t, 1> referred{static_cast<std::uint8_t>(type / kFlagRef)};
    hasher.Update(referred);
    rest = rest.subspan(*found + name.bytes.size());
    at = 0;
  }
  HashPart(hasher, rest);
  return hasher.Finish();
}

std::optional<Digest> CodeDigestOfFd(int fd, std::string_view path, const Digest& digest) {
  if (!path.ends_with(kSuffix)) return std::nullopt;
  struct stat st{};
  if (fstat(fd, &st) != 0 || st.st_size < 0 || static_cast<std::size_t>(st.st_size) > kMaxByteCode)
    return std::nullopt;
  Bytes content(static_cast<std::size_t>(st.st_size));
  if (!PReadExact(fd, content.data(), content.size(), 0)) return std::nullopt;
  if (Hash(HashAlg::kSha256, content) != digest) return std::nullopt;
  return CodeDigest(content, path);
}

std::string EncodeByteCode(const ByteCodeRecord& r) {
  ByteCodeRecord written = r;
  written.path = ima::PathText(std::move(written.path));
  return DumpJson(WriteMembers(kByteCode, written));
}

Result<ByteCodeRecord> ParseByteCode(std::string_view json) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(json, "byte-code-record", kMaxBuffer));
  ByteCodeRecord r;
  ASSAY_TRY(ReadMembers(kByteCode, doc.root(), r));
  return r;
}

}  // namespace assay::measure
