#include "reference/byte_code.h"

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>

#include "base/bytes.h"
#include "base/fd.h"
#include "measure/system/byte_code.h"
#include "reference/errors.h"

namespace assay::reference {
namespace {

constexpr std::size_t kHello = 32;
constexpr std::size_t kMaxAnswer = std::size_t{32} << 20;  // bytes of one form of the byte code
constexpr std::size_t kMaxForms = 2;
constexpr std::size_t kMaxPath = 4096;
// Then a new child is started, because a child's time is limited.
constexpr std::size_t kMaxSpent = std::size_t{8} << 20;
constexpr unsigned kMaxEnded = 3;
constexpr rlim_t kMaxMemory = rlim_t{2} << 30;
constexpr rlim_t kDescriptors = 32;  // until the script gives up the right to open files
constexpr uid_t kNobody = 65534;
constexpr int kMaxWait = 600;  // seconds; the limit of processor time should end it first
// Since Python 3.11 marshal writes sets and shared strings the same in each process.
constexpr unsigned kStableSince = 11;

// The script loads the modules that compile() may need (the codecs of "coding:" lines) before it gives up the
// right to open files. An answer has each form of the byte code. There are two for the package "encodings",
// which an interpreter without byte code for it compiles at its own start: it has interned no string of one
// character then, and marshal writes whether a string is interned (0xda) or not (0xfa).
constexpr char kScript[] = R"(
import encodings, os, resource, struct, sys
from importlib import _bootstrap_external as external
for name in sorted(os.listdir(encodings.__path__[0])):
    if name.endswith(".py"):
        try:
            __import__("encodings." + name[:-3])
        except Exception:
            pass
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
def take(size):
    data = sys.stdin.buffer.read(size)
    if len(data) != size:
        os._exit(0)
    return data
def answer(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
answer(struct.pack("32s", (sys.implementation.cache_tag or "").encode()))
while True:
    path_size, mtime, size = struct.unpack("<III", take(12))
    path, source = take(path_size), take(size)
    forms = []
    try:
        path = path.decode()
        code = external.SourceFileLoader("module", path).source_to_code(source, path)
        data = bytes(external._code_to_timestamp_pyc(code, mtime, size))
        forms.append(data)
        if path.endswith("/encodings/__init__.py"):
            for c in b" !#$%&'()*+,-./:;<=>?@[]^`{|}~":
                data = data.replace(bytes((0xda, 1, c)), bytes((0xfa, 1, c)))
            forms.append(data)
    except BaseException:
        pass
    code = None
    answer(struct.pack("<I", len(forms)))
    for data in forms:
        answer(struct.pack("<I", len(data)) + data)
)";

void Limit(decltype(RLIMIT_AS) what, rlim_t most) {
  const rlimit limit{most, most};
  if (setrlimit(what, &limit) != 0) _exit(126);
}

// Runs after fork() in a program with threads, so it may only make system calls.
[[noreturn]] void BecomePython(int channel, pid_t parent, const Python& python, char* const* argv) {
  if (dup2(channel, 0) < 0 || dup2(channel, 1) < 0) _exit(126);
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, 2) < 0 || close_range(3, ~0U, 0) != 0 || chdir("/") != 0) _exit(126);
  // System calls instead of glibc's functions, which wait for the parent's other threads.
  if (geteuid() == 0 &&
      (syscall(SYS_setgroups, 0, nullptr) != 0 || syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
       syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0))
    _exit(126);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) _exit(126);
  if (getppid() != parent) _exit(126);
  Limit(RLIMIT_AS, kMaxMemory);
  Limit(RLIMIT_CPU, python.cpu_seconds);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_FSIZE, 0);
  Limit(RLIMIT_NPROC, 0);
  Limit(RLIMIT_NOFILE, kDescriptors);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  static char locale[] = "LC_ALL=C.UTF-8";
  std::array<char*, 2> environment{locale, nullptr};
  execve(python.program.c_str(), argv, environment.data());
  _exit(127);
}

// "3.11" for "cpython-311"; empty for other tags.
std::string VersionOf(std::string_view tag) {
  constexpr std::string_view kPrefix = "cpython-3";
  if (!tag.starts_with(kPrefix)) return "";
  const std::string_view minor = tag.substr(kPrefix.size());
  if (minor.empty() || minor.size() > 3 || minor.find_first_not_of("0123456789") != std::string_view::npos)
    return "";
  return "3." + std::string(minor);
}

// "3.11" for "/usr/lib/python3.11/os.py", "3" for ".../python3/dist-packages/six.py"; empty for other paths.
std::string_view FolderVersion(std::string_view path) {
  constexpr std::string_view kFolder = "/lib/python";
  const std::size_t at = path.find(kFolder);
  if (at == std::string_view::npos) return "";
  path.remove_prefix(at + kFolder.size());
  return path.substr(0, path.find('/'));
}

std::string ByteCodePath(const std::string& source, const std::string& tag) {
  const std::size_t name = source.rfind('/') + 1;
  return source.substr(0, name) + "__pycache__/" + source.substr(name, source.size() - name - 2) + tag +
         ".pyc";
}

}  // namespace

class ByteCompiler::Child {
 public:
  explicit Child(const Python& python) : python_(python) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Starts the child and returns the tag that it reports.
  Result<std::string> Start() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      return Fail(OsError("socketpair", "", errno));
    channel_.Reset(ends[0]);
    UniqueFd far(ends[1]);
    const timeval wait{.tv_sec = kMaxWait, .tv_usec = 0};
    for (const int way : {SO_RCVTIMEO, SO_SNDTIMEO})
      if (setsockopt(channel_.get(), SOL_SOCKET, way, &wait, sizeof(wait)) != 0)
        return Fail(OsError("setsockopt", "", errno));
    std::vector<std::string> words{python_.program, "-I", "-S", "-B", "-W", "ignore", "-c", kScript};
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) return Fail(OsError("fork", "", errno));
    if (pid_ == 0) BecomePython(far.get(), parent, python_, argv.data());
    far.Reset();  // so that the channel is closed when the child ends
    return Hello();
  }

  Result<> Send(ByteView data) {
    while (!data.empty()) {
      const ssize_t n = send(channel_.get(), data.data(), data.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Fail(OsError("send", python_.program, errno));
      data = data.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }
  Result<> Receive(std::span<std::uint8_t> data) {
    return ReadExact(channel_.get(), data.data(), data.size());
  }
  // A number that may be `most`.
  Result<std::uint32_t> ReceiveCount(std::size_t most) {
    std::array<std::uint8_t, 4> bytes{};
    ASSAY_TRY(Receive(bytes));
    ASSAY_ASSIGN(const std::uint32_t count, Reader(bytes, "byte-code").U32Le("count"));
    if (count > most) return Fail(StateError(ReferenceError::kPython, "no answer"));
    return count;
  }

 private:
  Result<std::string> Hello();

  const Python& python_;
  UniqueFd channel_;
  pid_t pid_ = -1;
};

Result<std::string> ByteCompiler::Child::Hello() {
  std::array<std::uint8_t, kHello> hello{};
  ASSAY_TRY(Receive(hello));
  std::string tag(AsText(hello));
  tag.resize(std::min(tag.size(), tag.find('\0')));
  return tag;
}

Python FindPython(const std::string& program) {
  Python python{.program = program, .tag = "", .version = "", .unavailable = ""};
  if (access(program.c_str(), X_OK) != 0) {
    python.unavailable = "there is no " + program;
    return python;
  }
  // The tag is asked from a child that is started as for compiling.
  const Result<std::string> tag = ByteCompiler::TagOf(python);
  if (!tag) {
    python.unavailable = program + " does not start as the user nobody with limits";
    return python;
  }
  python.tag = *tag;
  python.version = VersionOf(*tag);
  unsigned minor = 0;
  if (!python.version.empty())
    std::from_chars(python.version.data() + 2, python.version.data() + python.version.size(), minor);
  if (minor < kStableSince) python.unavailable = fmt::format("{} is not Python 3.11 or later", program);
  return python;
}

Result<std::string> ByteCompiler::TagOf(const Python& python) { return Child(python).Start(); }

ByteCompiler::ByteCompiler(const Python& python) : python_(python) {}
ByteCompiler::~ByteCompiler() = default;

bool ByteCompiler::Takes(std::string_view path) {
  if (!path.ends_with(".py") || path.ends_with("/.py") || path.starts_with("/usr/share/doc/")) return false;
  if (!python_.unavailable.empty()) {
    ++report_.unknown;
    return false;
  }
  const std::string_view folder = FolderVersion(path);
  if (folder.empty() || folder == "3" || folder == python_.version) return true;
  ++report_.other_python;
  return false;
}

std::vector<PackagedFile> ByteCompiler::Compile(const std::string& path, std::optional<std::int64_t> mtime,
                                                ByteView source) {
  std::vector<PackagedFile> files;
  if (path.size() <= kMaxPath && source.size() <= kMaxSource && ended_ < kMaxEnded) {
    const Result<std::vector<Bytes>> forms = Ask(path, mtime.value_or(0), source);
    if (!forms) {
      child_.reset();
      ++ended_;
    } else {
      const std::string written = ByteCodePath(path, python_.tag);
      std::optional<Digest> known;  // of the form before, whose code may be the same
      for (const Bytes& form : *forms) {
        if (mtime) files.push_back({written, Hash(HashAlg::kSha256, form)});
        const std::optional<Digest> code = measure::CodeDigest(form, written);
        if (code && code != known) files.push_back({written, *code});
        known = code;
      }
    }
  }
  if (files.empty())
    LeaveOut(path);
  else
    ++report_.known;
  return files;
}

// An error: the child has ended or its answer is malformed. No form: it can't compile this source.
Result<std::vector<Bytes>> ByteCompiler::Ask(const std::string& path, std::int64_t mtime, ByteView source) {
  if (!child_ || spent_ > kMaxSpent) {
    child_ = std::make_unique<Child>(python_);
    spent_ = 0;
    ASSAY_ASSIGN(const std::string tag, child_->Start());
    if (tag != python_.tag)
      return Fail(StateError(ReferenceError::kPython, "another version of Python than before"));
  }
  spent_ += source.size();
  Writer w;
  w.U32Le(static_cast<std::uint32_t>(path.size())).U32Le(static_cast<std::uint32_t>(mtime));
  w.U32Le(static_cast<std::uint32_t>(source.size())).Put(path);
  ASSAY_TRY(child_->Send(w.bytes()));
  ASSAY_TRY(child_->Send(source));
  ASSAY_ASSIGN(const std::uint32_t count, child_->ReceiveCount(kMaxForms));
  std::vector<Bytes> forms;
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSAY_ASSIGN(const std::uint32_t size, child_->ReceiveCount(kMaxAnswer));
    Bytes form(size);
    ASSAY_TRY(child_->Receive(form));
    forms.push_back(std::move(form));
  }
  return forms;
}

}  // namespace assay::reference
