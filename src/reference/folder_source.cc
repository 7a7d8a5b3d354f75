// The files of a folder as reference values.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <utility>

#include "base/fd.h"
#include "base/hash_fd.h"
#include "reference/byte_code.h"
#include "reference/file_parts.h"
#include "reference/source.h"

namespace assay::reference {
namespace {

// path: the file's on the machine that will run it.
Result<std::vector<PackagedFile>> CompileFile(const std::string& on_disk, const std::string& path,
                                              ByteCompiler& compiler) {
  ASSAY_ASSIGN(const UniqueFd fd, Open(on_disk, O_RDONLY | O_NOFOLLOW));
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return Fail(OsError("fstat", path, errno));
  if (static_cast<std::uint64_t>(st.st_size) > kMaxSource) {
    compiler.LeaveOut(path);
    return std::vector<PackagedFile>();
  }
  ASSAY_ASSIGN(const Bytes source, ReadAll(fd.get(), kMaxSource));
  return compiler.Compile(path, st.st_mtime, source);
}

// A file of a folder: its digest, those of what is packed in it, and its byte code.
Result<> AddFound(const std::string& on_disk, const std::string& path, const FurtherKinds& kinds,
                  ByteCompiler* compiler, SourceContent& out) {
  ASSAY_ASSIGN(PackagedFile file, DigestsOf(on_disk, path, kinds));
  out.content.files.push_back(std::move(file));
  if (IsPackedModule(path)) {
    ASSAY_ASSIGN(const Bytes packed, ReadFile(on_disk, kMaxModule));
    if (auto unpacked = UnpackedModule(path, packed)) out.content.files.push_back(std::move(*unpacked));
  }
  if (IsWheel(path)) {
    if (const Result<Bytes> wheel = ReadFile(on_disk, kMaxWheel))
      AddWheel(path, *wheel, out.content.files, compiler, &out.byte_code);
  }
  if (compiler != nullptr && compiler->Takes(path)) {
    ASSAY_ASSIGN(auto compiled, CompileFile(on_disk, path, *compiler));
    std::ranges::move(compiled, std::back_inserter(out.byte_code));
  }
  return {};
}

class Folder : public PackageSource {
 public:
  Folder(std::string path, PackageName name, std::string root, FurtherKinds kinds)
      : path_(std::move(path)),
        name_(std::move(name)),
        root_(root.empty() ? "/" : std::move(root)),
        kinds_(std::move(kinds)) {}
  const std::string& path() const override { return path_; }

  Result<SourceRead> Read(ByteCompiler* compiler) const override {
    std::error_code error;
    const std::filesystem::path top = std::filesystem::canonical(path_, error);
    if (error) return Fail(OsError("realpath", path_, error.value()));
    const std::filesystem::path outside = std::filesystem::canonical(root_, error);
    if (error) return Fail(OsError("realpath", root_, error.value()));
    if (std::mismatch(outside.begin(), outside.end(), top.begin(), top.end()).first != outside.end())
      return Fail(UsageError(path_ + " is not below " + root_));
    SourceContent out{
        .content = {.package = name_.package, .version = name_.version, .architecture = "", .files = {}}};
    SourceRead read;
    std::filesystem::recursive_directory_iterator it(top, error);
    for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
      std::error_code gone;  // or a link, or no file
      if (it->symlink_status(gone).type() != std::filesystem::file_type::regular) continue;
      const std::string file = it->path().string();
      const std::string name = "/" + it->path().lexically_relative(outside).string();
      if (Result<> added = AddFound(file, name, kinds_, compiler, out); !added)
        read.report.failed.push_back({file, added.error()});
    }
    if (error) return Fail(OsError("readdir", path_, error.value()));
    read.contents.push_back(std::move(out));
    return read;
  }

 private:
  std::string path_;
  PackageName name_;
  std::string root_;
  FurtherKinds kinds_;
};

}  // namespace

Result<Digest> HashFile(const std::string& path) {
  ASSAY_ASSIGN(const UniqueFd fd, Open(path, O_RDONLY | O_NOFOLLOW));
  Result<Digest> digest = HashFd(fd.get(), HashAlg::kSha256);
  if (!digest) return Fail(digest.error().In("reading " + path));
  return digest;
}

Result<PackagedFile> DigestsOf(const std::string& on_disk, std::string path, const FurtherKinds& kinds) {
  PackagedFile out{.path = std::move(path), .digest = {}};
  if (kinds.algs.empty() && !kinds.verity) {
    ASSAY_ASSIGN(out.digest, HashFile(on_disk));
    return out;
  }
  ASSAY_ASSIGN(const UniqueFd fd, Open(on_disk, O_RDONLY | O_NOFOLLOW));
  Hasher hasher(HashAlg::kSha256);
  FurtherHasher further(kinds);
  Bytes block(kBlock);
  while (true) {
    const ssize_t n = read(fd.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(OsError("read", on_disk, errno));
    if (n == 0) break;
    const ByteView part = ByteView(block).first(static_cast<std::size_t>(n));
    hasher.Update(part);
    further.Update(part);
  }
  out.digest = hasher.Finish();
  out.further = further.Finish();
  return out;
}

std::unique_ptr<PackageSource> FolderSource(std::string path, PackageName name, std::string root,
                                            FurtherKinds kinds) {
  return std::make_unique<Folder>(std::move(path), std::move(name), std::move(root), std::move(kinds));
}

}  // namespace assay::reference
