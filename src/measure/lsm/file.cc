#include "measure/lsm/file.h"

#include <dirent.h>
#include <elf.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/log.h"
#include "measure/lsm/errors.h"
#include "measure/system/file.h"
#include "measure/system/maps.h"
#include "measure/system/regular_file.h"
#include "measure/system/task_names.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_WRITE 0x0008
#endif

namespace assay::measure {
namespace {

constexpr std::size_t kResidentPages = 1 << 18;

// Returns no descriptor if it is another file.
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
    // If the task has our root, the path leads to the same mount here, unless another mount covers it now.
    const std::optional<std::uint64_t> mount =
        ours ? std::optional<std::uint64_t>(request.mount) : std::nullopt;
    UniqueFd fd = OpenIfRequested(path, O_NOFOLLOW, mount, request, programs);
    if (fd && ours) return RequestedFile{std::move(fd), path};
    if (fd) return Named(std::move(fd), request);
  }
  // Else the file is found among the task's descriptors: a memfd, a removed file, a file of another mount
  // namespace.
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
  return Fail(StateError(LsmError::kFile, "the file can't be reached any more"));
}

bool HasOpen(const assay_request& request) {
  const std::string process = "/proc/" + std::to_string(request.tid);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir((process + "/fd").c_str()), closedir);
  while (dir != nullptr) {
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) return false;
    const Result<FdInfo> info = FdInfoOf(process, entry->d_name);
    if (info && info->mount == request.mount && info->inode == request.ino) return true;
  }
  return false;
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
    case ASSAY_BUFFER_TAKEN:
    case ASSAY_CHANGED_BUFFER:
      return detail < std::size(kReads) ? kReads[detail] : "kernel";
    case ASSAY_BPF:
      return "bpf";
    case ASSAY_STARTED:
      return "exec";
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

namespace {

enum class Pages { kDropped, kHeld, kUnknown };

Pages TryToDropPages(int fd, std::uint64_t size) {
  if (fdatasync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) return Pages::kUnknown;
  const std::uint64_t page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident(kResidentPages);
  for (std::uint64_t at = 0; at < size; at += resident.size() * page) {
    const std::size_t part = std::min<std::uint64_t>(size - at, resident.size() * page);
    // A mapping is of the file that has the pages, also under overlayfs.
    void* mapped = mmap(nullptr, part, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(at));
    if (mapped == MAP_FAILED) return Pages::kUnknown;
    const bool known = mincore(mapped, part, resident.data()) == 0;
    munmap(mapped, part);
    if (!known) return Pages::kUnknown;
    const auto end = resident.begin() + static_cast<std::ptrdiff_t>((part + page - 1) / page);
    if (std::any_of(resident.begin(), end, [](unsigned char c) { return (c & 1) != 0; })) return Pages::kHeld;
  }
  return Pages::kDropped;
}

// Its pages are nowhere but in memory, or are the disk's own memory (DAX).
bool LivesInMemory(int fd, const struct statx& st) {
  struct statfs fs{};
  return (st.stx_attributes & STATX_ATTR_DAX) != 0 || fstatfs(fd, &fs) != 0 || fs.f_type == TMPFS_MAGIC ||
         fs.f_type == RAMFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC;
}

}  // namespace

bool DropPages(int fd) {
  struct statx st{};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) != 0 || LivesInMemory(fd, st)) return false;
  // On a busy machine the kernel's own writeback holds a page a moment longer than the process that wrote it.
  for (const int pause : {1, 4, 16, 64, 0}) {
    const Pages pages = TryToDropPages(fd, st.stx_size);
    if (pages != Pages::kHeld) return pages == Pages::kDropped;
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
  }
  return false;
}

namespace {

template <class Header, class Segment>
MemoryHeaders ReadHeaders(int fd) {
  constexpr std::uint64_t kPage = 4096;
  MemoryHeaders wanted;
  Header header;
  if (pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) return wanted;
  if (header.e_phentsize != sizeof(Segment)) return wanted;  // the kernel refuses it too
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    Segment segment;
    const std::uint64_t at = header.e_phoff + i * sizeof(segment);
    if (at > INT64_MAX) return wanted;
    if (pread(fd, &segment, sizeof(segment), static_cast<off_t>(at)) != static_cast<ssize_t>(sizeof(segment)))
      return wanted;
    if ((segment.p_flags & PF_X) == 0) continue;
    if (segment.p_type == PT_GNU_STACK) wanted.executable_stack = true;
    const std::uint64_t in_page = segment.p_vaddr % kPage;
    const auto pages = [&](std::uint64_t size) { return (in_page + size + kPage - 1) / kPage; };
    if (segment.p_type == PT_LOAD && pages(segment.p_memsz) > pages(segment.p_filesz))
      wanted.executable_memory = true;
  }
  return wanted;
}

}  // namespace

MemoryHeaders MemoryHeadersOf(int fd) {
  std::array<unsigned char, EI_NIDENT> ident{};
  if (pread(fd, ident.data(), ident.size(), 0) != static_cast<ssize_t>(ident.size())) return {};
  if (std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0) return {};
  // The kernel chooses the size of the structures by e_machine, which the class agrees with.
  return ident[EI_CLASS] == ELFCLASS32 ? ReadHeaders<Elf32_Ehdr, Elf32_Phdr>(fd)
                                       : ReadHeaders<Elf64_Ehdr, Elf64_Phdr>(fd);
}

std::string ProgramOf(pid_t tgid, const char* otherwise) {
  std::string program = ProgramOfTask(tgid);
  return program.empty() ? otherwise : program;
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
  if (file.empty()) return Fail(StateError(LsmError::kFile, "nothing is mapped there any more"));
  return Open(file, O_PATH | O_CLOEXEC);
}

}  // namespace assay::measure
