#include "reference/archive.h"

#include <errno.h>

#include <algorithm>

#include "reference/further_digests.h"

namespace assay::reference {
namespace {

la_ssize_t ReadPipe(archive* inner, void* data, const void** out) {
  const Result<ByteView> next = static_cast<Pipe*>(data)->Next();
  if (!next) {
    archive_set_error(inner, EIO, "%s", next.error().Message().c_str());
    return -1;
  }
  *out = next->data();
  return static_cast<la_ssize_t>(next->size());
}

}  // namespace

Error ArchiveError(archive* a, const std::string& path) {
  const char* text = archive_error_string(a);
  return LibError("libarchive", path + ": " + (text != nullptr ? text : "unknown error"));
}

Result<bool> NextEntry(archive* a, archive_entry** entry, const std::string& path) {
  const int rc = archive_read_next_header(a, entry);
  if (rc == ARCHIVE_EOF) return false;
  if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return Fail(ArchiveError(a, path));
  return true;
}

Result<ByteView> PipeFromEntry::Next() {
  const la_ssize_t n = archive_read_data(outer_, block_.data(), block_.size());
  if (n < 0) return Fail(ArchiveError(outer_, "the archive around it"));
  return ByteView(block_).first(static_cast<std::size_t>(n));
}

void AddFilters(archive* a) {
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_lzma(a);
  archive_read_support_filter_zstd(a);
}

Result<> OpenPipe(archive* a, Pipe& pipe, const std::string& path) {
  if (archive_read_open(a, &pipe, nullptr, ReadPipe, nullptr) != ARCHIVE_OK)
    return Fail(ArchiveError(a, path));
  return {};
}

Result<ArchivePtr> OpenTar(Pipe& pipe, const std::string& path) {
  ArchivePtr a(archive_read_new());
  AddFilters(a.get());
  archive_read_support_format_tar(a.get());
  ASSAY_TRY(OpenPipe(a.get(), pipe, path));
  return a;
}

std::string Absolute(std::string_view name) {
  while (name.starts_with("./")) name.remove_prefix(2);
  while (name.starts_with("/")) name.remove_prefix(1);
  return "/" + std::string(name);
}

Result<Digest> HashEntry(archive* a, const std::string& path, Budget& budget, Bytes* keep, std::uint64_t size,
                         FurtherHasher* further) {
  const auto too_large = [&] {
    return Fail(ParseError(std::string(budget.format), 0, path + ": too large unpacked"));
  };
  if (size > budget.left) return too_large();
  Hasher hasher(HashAlg::kSha256);
  std::array<std::uint8_t, kBlock> block;
  std::uint64_t done = 0;
  bool hole = false;
  while (true) {
    la_ssize_t n = hole ? 0 : archive_read_data(a, block.data(), block.size());
    if (n < 0) return Fail(ArchiveError(a, path));
    if (n == 0) {
      if (done >= size) return hasher.Finish();
      if (!hole) block.fill(0);
      hole = true;
      n = static_cast<la_ssize_t>(std::min<std::uint64_t>(size - done, block.size()));
    }
    if (static_cast<std::uint64_t>(n) > budget.left) return too_large();
    budget.left -= static_cast<std::uint64_t>(n);
    done += static_cast<std::uint64_t>(n);
    const ByteView part = ByteView(block).first(static_cast<std::size_t>(n));
    hasher.Update(part);
    if (further != nullptr) further->Update(part);
    if (keep != nullptr && keep->size() + part.size() <= kMaxKept)
      keep->insert(keep->end(), part.begin(), part.end());
  }
}

}  // namespace assay::reference
