#include "measure/system/file.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <mutex>

#include "base/clock.h"
#include "base/fd.h"
#include "base/folder.h"
#include "base/hash_fd.h"
#include "measure/system/cgroup.h"
#include "measure/system/errors.h"
#include "measure/system/maps.h"
#include "measure/system/regular_file.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxProcFile = std::size_t{16} << 20;
constexpr std::string_view kDeleted = " (deleted)";  // after the name of a file that was removed

std::string_view After(std::string_view text, std::string_view label) {
  const std::size_t at = text.find(label);
  if (at == std::string_view::npos) return "";
  text.remove_prefix(at + label.size());
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  return text.substr(0, text.find('\n'));
}

template <typename T>
T Number(std::string_view text, int base = 10) {
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// The decimal number of the first line that begins with the label; nothing if it is no number.
std::optional<std::uint64_t> Labelled(std::string_view text, std::string_view label) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(label)) continue;
    line.remove_prefix(std::min(line.find_first_not_of(" \t", label.size()), line.size()));
    std::uint64_t value = 0;
    const char* const end = line.data() + line.size();
    const auto [at, error] = std::from_chars(line.data(), end, value);
    if (error == std::errc() && at == end) return value;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

FileState Hold(int fd) {
  static std::once_flag once;
  std::call_once(once, [] { signal(SIGIO, SIG_IGN); });
  if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) return FileState::kHeld;
  return errno == EAGAIN ? FileState::kWriters : FileState::kNoLeases;
}

bool StillHeld(int fd) { return fcntl(fd, F_GETLEASE) == F_RDLCK; }
void Release(int fd) { fcntl(fd, F_SETLEASE, F_UNLCK); }

Result<Digest> HashFd(int fd, HashAlg alg, std::uint64_t* bytes, const std::atomic<bool>* stop) {
  const auto wanted = [stop]() -> Result<> {
    if (stop != nullptr && *stop) return Fail(StateError(FileError::kLate, "no task waits for it any more"));
    return {};
  };
  return assay::HashFd(fd, alg, {.before_block = wanted, .bytes = bytes});
}

std::string_view PlaceOf(std::string_view name) {
  if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
  return name;
}

Result<std::string> NameOfFd(int fd) {
  ASSAY_ASSIGN(std::string path, FdPath(fd));
  // As the kernel has it in memory: a server that names its file like this may never answer.
  struct statx st{};
  if (path.ends_with(kDeleted) && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK, &st) == 0 &&
      st.stx_nlink == 0)
    path.resize(path.size() - kDeleted.size());
  return path;
}

Result<FdInfo> ParseFdInfo(std::string_view text) {
  const auto mount = Labelled(text, "mnt_id:"), inode = Labelled(text, "ino:");
  if (!mount || !inode) return Fail(ParseError("fdinfo", 0, "no mount or no inode is named"));
  return FdInfo{.mount = *mount, .inode = *inode};
}

Result<FdInfo> FdInfoOf(const std::string& process, const std::string& fd) {
  ASSAY_ASSIGN(const Bytes text, ReadFile(process + "/fdinfo/" + fd, kMaxProcFile));
  return ParseFdInfo(AsText(text));
}

ElfKind ElfKindOf(int fd) {
  constexpr std::size_t kMaxNames = 1 << 20;
  constexpr std::string_view kModule = ".gnu.linkonce.this_module";
  Elf64_Ehdr header{};
  const ssize_t got = pread(fd, &header, sizeof(header), 0);
  if (got < SELFMAG || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return ElfKind::kNone;
  if (got < static_cast<ssize_t>(sizeof(header)) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_REL ||
      header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shstrndx >= header.e_shnum)
    return ElfKind::kLoadable;
  // An offset beyond the file makes the read fail.
  Elf64_Shdr names{};
  const std::uint64_t at = header.e_shoff + std::uint64_t{header.e_shstrndx} * sizeof(names);
  if (!PReadExact(fd, reinterpret_cast<std::uint8_t*>(&names), sizeof(names), static_cast<off_t>(at)))
    return ElfKind::kLoadable;
  if (names.sh_size == 0 || names.sh_size > kMaxNames) return ElfKind::kLoadable;
  Bytes table(names.sh_size);
  if (!PReadExact(fd, table.data(), table.size(), static_cast<off_t>(names.sh_offset)))
    return ElfKind::kLoadable;
  return AsText(table).find(kModule) == std::string_view::npos ? ElfKind::kObject : ElfKind::kModule;
}

namespace {

// "Uid:\treal\teffective\tsaved\tfs". Source: proc(5).
void TakeIds(std::string_view line, std::optional<std::uint32_t>& real,
             std::optional<std::uint32_t>& effective) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return;
  const std::string_view second = line.substr(tab + 1, line.find('\t', tab + 1) - tab - 1);
  std::uint32_t first_id = 0, second_id = 0;
  if (std::from_chars(line.data(), line.data() + tab, first_id).ptr != line.data() + tab) return;
  const char* const end = second.data() + second.size();
  if (second.empty() || std::from_chars(second.data(), end, second_id).ptr != end) return;
  real = first_id;
  effective = second_id;
}

}  // namespace

ThreadStatus StatusOf(pid_t tid) {
  ThreadStatus thread;
  thread.process = tid;
  thread.cgroup = CgroupOf(tid);
  const Result<Bytes> status = ReadFile("/proc/" + std::to_string(tid) + "/status", kMaxProcFile);
  if (!status) return thread;
  const std::string_view text = AsText(*status);
  thread.comm = After(text, "Name:");
  if (const auto tgid = Number<pid_t>(After(text, "\nTgid:")); tgid > 0) thread.process = tgid;
  TakeIds(After(text, "\nUid:"), thread.uid, thread.euid);
  TakeIds(After(text, "\nGid:"), thread.gid, thread.egid);
  return thread;
}

Context ContextOf(const ThreadStatus& thread, std::string hook) {
  Context c;
  c.time_ms = NowMs();
  c.pid = thread.process;
  c.uid = thread.uid.value_or(0);
  c.comm = thread.comm;
  c.hook = std::move(hook);
  c.cgroup = thread.cgroup.value_or("");
  return c;
}

Context ContextOf(pid_t tid, std::string hook) { return ContextOf(StatusOf(tid), std::move(hook)); }

namespace {

// Of a task that is not asleep, the kernel says only "running". An event can be read before its task has
// fallen asleep, so the file is read again until then, for at most 10 ms.
Result<Bytes> SyscallOf(pid_t tid) {
  constexpr int kTries = 100;
  constexpr useconds_t kPause = 100;
  const std::string path = "/proc/" + std::to_string(tid) + "/syscall";
  Result<Bytes> line = ReadFile(path, 1024);
  for (int i = 0; i < kTries && line && AsText(*line).starts_with("running"); ++i) {
    usleep(kPause);
    line = ReadFile(path, 1024);
  }
  return line;
}

}  // namespace

std::optional<int> OpenFlagsOf(pid_t tid) {
  const Result<Bytes> line = SyscallOf(tid);
  if (!line || AsText(*line).starts_with("running")) return std::nullopt;
  // "number arg0 arg1 ... sp pc", hexadecimal but for the first. Source: proc(5).
  std::uint64_t words[4] = {};
  std::string_view rest = AsText(*line);
  for (int i = 0; i < 4 && !rest.empty(); ++i) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    words[i] = i == 0 ? Number<std::uint64_t>(word)
                      : Number<std::uint64_t>(word.substr(std::min<std::size_t>(2, word.size())), 16);
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  }
  // The flags are used only if they are in a register, because memory can be changed by other threads.
  if (words[0] == SYS_openat) return static_cast<int>(words[3]);
#ifdef SYS_open
  if (words[0] == SYS_open) return static_cast<int>(words[2]);
  if (words[0] == SYS_creat || words[0] == SYS_truncate) return O_WRONLY | O_TRUNC;
#endif
  return std::nullopt;
}

std::set<pid_t> ExecutableMappersOf(FileId file) {
  char object[64];
  snprintf(object, sizeof(object), "%02x:%02x %lu", major(file.first), minor(file.first),
           static_cast<unsigned long>(file.second));
  std::set<pid_t> processes;
  const Result<std::vector<std::string>> names = NamesIn("/proc");
  if (!names) return processes;
  for (const std::string& name : *names) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    bool found = false;
    const Result<> read = ForEachMapping(name, [&](const Mapping& m) {
      found = m.executable && m.object == object;
      return !found;
    });
    // The kernel's errors are those of a process that has ended. One with more mappings than are read may
    // have the file among them.
    const bool too_many = !read && read.error().As<OsError>() == nullptr;
    if (found || too_many) processes.insert(Number<pid_t>(name));
  }
  return processes;
}

}  // namespace assay::measure
