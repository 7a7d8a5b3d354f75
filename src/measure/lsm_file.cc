#include "measure/lsm_file.h"

#include <dirent.h>
#include <elf.h>
#include <limits.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>

#include "base/log.h"
#include "measure/file.h"
#include "measure/maps.h"
#include "measure/regular_file.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_WRITE 0x0008
#endif

namespace assay::measure {
namespace {

constexpr std::uint64_t kMaxProgramHeaders = 64;

// Nothing where it is another file.
UniqueFd OpenIfRequested(const std::string& path, int flags, std::optional<std::uint64_t> mount,
                         const assay_request& request, const LsmPrograms& programs) {
  Result<UniqueFd> fd = OpenRegular(path, flags, mount);
  return fd && programs.IsRequested(fd->get(), request) ? std::move(*fd) : UniqueFd();
}

RequestedFile Named(UniqueFd file, const assay_request& request) {
  Result<std::string> name = NameOfFd(file.get());
  return {std::move(file), name ? std::move(*name) : std::string(request.path)};
}

}  // namespace

Result<RequestedFile> OpenRequested(const assay_request& request, const LsmPrograms& programs) {
  const std::string process = "/proc/" + std::to_string(request.tid);
  if (request.path[0] == '/') {
    const bool ours = (request.flags & ASSAY_OUR_ROOT) != 0;
    const std::string path = ours ? request.path : process + "/root" + request.path;
    // With the same root the same path leads to the same mount, unless another one covers it now.
    const std::optional<std::uint64_t> mount =
        ours ? std::optional<std::uint64_t>(request.mount) : std::nullopt;
    UniqueFd fd = OpenIfRequested(path, O_NOFOLLOW, mount, request, programs);
    if (fd && ours) return RequestedFile{std::move(fd), path};
    if (fd) return Named(std::move(fd), request);
  }
  // By descriptor: memfd, removed files, files of another mount namespace.
  const std::string folder = process + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  while (dir != nullptr) {
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    const Result<FdInfo> info = FdInfoOf(process, entry->d_name);
    if (!info || info->mount != request.mount || info->inode != request.ino) continue;
    UniqueFd fd = OpenIfRequested(folder + "/" + entry->d_name, 0, std::nullopt, request, programs);
    if (fd) return Named(std::move(fd), request);
  }
  return Fail(StateError("engine.lsm-file", "the file can't be reached any more"));
}

std::string HookName(std::uint32_t kind, std::uint32_t detail) {
  // Source: include/linux/kernel_read_file.h, __kernel_read_file_id.
  static constexpr const char* kReads[] = {"kernel",    "firmware", "module", "kexec",
                                           "initramfs", "policy",   "x509"};
  switch (kind) {
    case ASSAY_EXEC:
      return "exec";
    case ASSAY_MMAP:
      return "mmap";
    case ASSAY_OPEN:
      return "open";
    case ASSAY_KERNEL_READ:
    case ASSAY_BUFFER:
    case ASSAY_CHANGED_BUFFER:
      return detail < std::size(kReads) ? kReads[detail] : "kernel";
    case ASSAY_BPF:
      return "bpf";
    default:
      return "event";
  }
}

bool IsUnsealedMemory(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_WRITE) != 0) return false;
  char name[64] = {};
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof(name) - 1);
  const std::string_view text(name, n > 0 ? static_cast<std::size_t>(n) : 0);
  return text.starts_with("/memfd:") || text.starts_with("/SYSV");
}

bool WantsExecutableStack(int fd) {
  Elf64_Ehdr header;
  if (pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) return false;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
    return false;
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return false;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(header.e_phnum, kMaxProgramHeaders); ++i) {
    Elf64_Phdr segment;
    const std::uint64_t at = header.e_phoff + i * sizeof(segment);
    if (at > INT64_MAX) return false;
    if (pread(fd, &segment, sizeof(segment), static_cast<off_t>(at)) != static_cast<ssize_t>(sizeof(segment)))
      return false;
    if (segment.p_type == PT_GNU_STACK) return (segment.p_flags & PF_X) != 0;
  }
  return false;
}

std::string ProgramOf(pid_t tgid, const char* otherwise) {
  char name[PATH_MAX];
  const ssize_t n = readlink(("/proc/" + std::to_string(tgid) + "/exe").c_str(), name, sizeof(name));
  if (n <= 0) return otherwise;
  return std::string(name, static_cast<std::size_t>(n));
}

std::set<std::string> ExecutableFiles(pid_t pid) {
  std::set<std::string> files;
  const Result<> read = ForEachMapping(std::to_string(pid), [&](const Mapping& m) {
    if (m.executable && m.path.starts_with('/')) files.emplace(m.path);
    return true;
  });
  if (!read) log::Debug("{}", read.error().Message());
  return files;
}

Result<UniqueFd> OpenMapped(pid_t tgid, std::uint64_t address) {
  const std::string process = std::to_string(tgid);
  std::string file;
  ASSAY_TRY(ForEachMapping(process, [&](const Mapping& m) {
    if (address >= m.end) return true;
    if (address >= m.begin) file = MapFile(process, m.range);
    return false;
  }));
  if (file.empty()) return Fail(StateError("engine.lsm-file", "nothing is mapped there any more"));
  return OpenRegular(file);
}

}  // namespace assay::measure
