#include "reference/image_files.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "base/fd.h"
#include "base/text.h"

namespace assay::reference {
namespace {

constexpr std::size_t kMaxMembers = 100'000;
constexpr std::size_t kMaxSteps = 16;  // from a link to a file

// Relative, without "." and "..", so that it leads nowhere outside.
Result<std::string> Inside(const std::string& name) {
  std::string normal = std::filesystem::path(name).lexically_normal().string();
  if (normal.empty() || normal == "." || normal.starts_with("/") || normal == ".." ||
      normal.starts_with("../"))
    return Fail(BadImage("a name that leads out of the image: " + Printable(name)));
  return normal;
}

class PipeFromFd : public Pipe {
 public:
  PipeFromFd(int fd, const std::string& name) : fd_(fd), name_(name) {}
  Result<ByteView> Next() override {
    while (true) {
      const ssize_t n = read(fd_, block_.data(), block_.size());
      if (n >= 0) return ByteView(block_).first(static_cast<std::size_t>(n));
      if (errno != EINTR) return Fail(OsError("read", name_, errno));
    }
  }

 private:
  int fd_;
  const std::string& name_;
  std::array<std::uint8_t, kBlock> block_;
};

class InFolder : public ImageFiles {
 public:
  InFolder(UniqueFd folder, std::string path) : folder_(std::move(folder)), path_(std::move(path)) {}

  Result<> Each(const std::set<std::string>& names, const Visit& visit) const override {
    for (const std::string& name : names) {
      ASSAY_ASSIGN(const std::string inside, Inside(name));
      const std::string shown = path_ + "/" + inside;
      // A link may lead to another file of the folder, and not out of it. O_NONBLOCK: a pipe must not wait.
      open_how how{};
      how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
      how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
      const UniqueFd fd(
          static_cast<int>(syscall(SYS_openat2, folder_.get(), inside.c_str(), &how, sizeof(how))));
      if (!fd && errno == ENOENT) continue;
      if (!fd && errno == EXDEV)
        return Fail(BadImage("a name that leads out of the image: " + Printable(shown)));
      if (!fd) return Fail(OsError("openat2", shown, errno));
      struct stat st{};
      if (fstat(fd.get(), &st) != 0) return Fail(OsError("fstat", shown, errno));
      if (!S_ISREG(st.st_mode)) return Fail(BadImage(Printable(shown) + " is no regular file"));
      const auto pipe = std::make_unique<PipeFromFd>(fd.get(), shown);
      ASSAY_TRY(visit(name, *pipe));
    }
    return {};
  }
  Result<std::string> Resolve(const std::string& name) const override { return name; }

 private:
  UniqueFd folder_;
  std::string path_;
};

class InArchive : public ImageFiles {
 public:
  InArchive(std::string path, ByteView bytes) : path_(std::move(path)), bytes_(bytes) {}

  // Learns the names and links.
  Result<> Scan() {
    return Walk([&](archive* a, archive_entry* entry, const std::string& name) -> Result<> {
      (void)a;
      if (names_.size() + links_.size() >= kMaxMembers) return Fail(BadImage("too many files"));
      const char* hard = archive_entry_hardlink(entry);
      const auto type = archive_entry_filetype(entry);
      if (hard != nullptr)
        links_.emplace(name, Absolute(hard).substr(1));
      else if (const char* symbolic = type == AE_IFLNK ? archive_entry_symlink(entry) : nullptr)
        links_.emplace(name, (std::filesystem::path(name).parent_path() / symbolic).string());
      else if (type == AE_IFREG && !names_.insert(name).second)
        twice_.insert(name);
      return {};
    });
  }

  Result<std::string> Resolve(const std::string& name) const override {
    ASSAY_ASSIGN(std::string at, Inside(name));
    for (std::size_t steps = 0; steps < kMaxSteps; ++steps) {
      const auto link = links_.find(at);
      if (link == links_.end()) return at;
      if (names_.contains(at)) return Fail(BadImage("a file and a link of one name: " + Printable(at)));
      ASSAY_ASSIGN(at, Inside(link->second));
    }
    return Fail(BadImage("links that lead in a circle: " + Printable(name)));
  }

  Result<> Each(const std::set<std::string>& names, const Visit& visit) const override {
    std::map<std::string, std::string> wanted;  // the file -> the name that was asked for
    for (const std::string& name : names) {
      ASSAY_ASSIGN(std::string file, Resolve(name));
      // Which of the two counts is another program's choice, so neither does.
      if (twice_.contains(file)) return Fail(BadImage("two members " + Printable(file)));
      if (names_.contains(file)) wanted.emplace(std::move(file), name);
    }
    if (wanted.empty()) return {};
    return Walk([&](archive* a, archive_entry* entry, const std::string& name) -> Result<> {
      const auto found = wanted.find(name);
      if (found == wanted.end() || archive_entry_filetype(entry) != AE_IFREG ||
          archive_entry_hardlink(entry) != nullptr)
        return {};
      const auto pipe = std::make_unique<PipeFromEntry>(a);
      return visit(found->second, *pipe);
    });
  }

 private:
  using Entry = std::function<Result<>(archive*, archive_entry*, const std::string& name)>;
  Result<> Walk(const Entry& visit) const {
    const ArchivePtr a(archive_read_new());
    AddFilters(a.get());
    archive_read_support_format_tar(a.get());
    const int opened = path_.empty() ? archive_read_open_memory(a.get(), bytes_.data(), bytes_.size())
                                     : archive_read_open_filename(a.get(), path_.c_str(), kBlock);
    if (opened != ARCHIVE_OK) return Fail(ArchiveError(a.get(), path_));
    while (true) {
      archive_entry* entry = nullptr;
      ASSAY_ASSIGN(const bool more, NextEntry(a.get(), &entry, path_));
      if (!more) return {};
      const char* raw = archive_entry_pathname(entry);
      if (raw == nullptr) continue;  // a name that no manifest can have
      ASSAY_TRY(visit(a.get(), entry, std::filesystem::path(Absolute(raw).substr(1)).lexically_normal()));
    }
  }

  std::string path_;  // empty: in memory
  ByteView bytes_;
  std::set<std::string> names_, twice_;
  std::map<std::string, std::string> links_;
};

}  // namespace

Error BadImage(const std::string& what) { return ParseError("image", 0, what); }

Result<std::map<std::string, Bytes>> ImageFiles::Small(const std::set<std::string>& names) const {
  std::map<std::string, Bytes> out;
  ASSAY_TRY(Each(names, [&](const std::string& name, Pipe& content) -> Result<> {
    Bytes text;
    while (true) {
      ASSAY_ASSIGN(const ByteView part, content.Next());
      if (part.empty()) break;
      if (text.size() + part.size() > kMaxImageText) return Fail(BadImage(Printable(name) + " is too large"));
      text.insert(text.end(), part.begin(), part.end());
    }
    out.emplace(name, std::move(text));
    return {};
  }));
  return out;
}

Result<std::unique_ptr<ImageFiles>> OpenImageFiles(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    ASSAY_ASSIGN(UniqueFd folder, Open(path, O_PATH | O_DIRECTORY));
    return std::unique_ptr<ImageFiles>(std::make_unique<InFolder>(std::move(folder), path));
  }
  auto files = std::make_unique<InArchive>(path, ByteView());
  ASSAY_TRY(files->Scan());
  return std::unique_ptr<ImageFiles>(std::move(files));
}

Result<std::unique_ptr<ImageFiles>> ImageFilesOf(ByteView archive) {
  auto files = std::make_unique<InArchive>("", archive);
  ASSAY_TRY(files->Scan());
  return std::unique_ptr<ImageFiles>(std::move(files));
}

}  // namespace assay::reference
