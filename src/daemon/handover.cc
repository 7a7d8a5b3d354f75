#include "daemon/handover.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/descriptors.h"
#include "base/json_members.h"
#include "base/log.h"
#include "daemon/errors.h"
#include "measure/system/file.h"

namespace assay::daemon {
namespace {

constexpr std::size_t kMaxMessage = std::size_t{128} << 10;  // a policy of 64 KiB, written as JSON
constexpr int kLinkFd = 3, kProgramFd = 4;                   // of the successor
constexpr int kHighFd = 10;
constexpr std::size_t kMaxFds = 8;

constexpr auto kMembers = [](auto& visit, auto& m) {
  visit("format", m.format);
  visit("step", m.step);
  visit.Optional("version", m.version);
  visit.Optional("code", m.code);
  visit.Optional("error", m.error);
  visit.Optional("run_dir", m.run_dir);
  visit.Optional("tcti", m.tcti);
  visit.Optional("scope", m.scope);
  visit.Optional("namespace", m.name_space);
  visit.Optional("pcr", m.pcr);
  visit.Optional("kernel_log", m.kernel_log);
  visit.Optional("policy", m.policy);
  visit.Optional("pid", m.pid);
  visit.Optional("handovers", m.handovers);
  visit.Optional("started_ms", m.started_ms);
  visit.Optional("unix", m.unix_path);
  visit.Optional("listen", m.listen);
  visit.Optional("key_context", m.key_context);
  visit.Optional("key_auth", m.key_auth);
  visit.Optional("key_public", m.key_public);
};

// This process's environment without the variables that make the loader load other libraries.
std::vector<std::string> Environment() {
  std::vector<std::string> kept;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view entry = *e;
    if (!entry.starts_with("LD_") && !entry.starts_with("GLIBC_TUNABLES=")) kept.emplace_back(entry);
  }
  return kept;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// What the successor is started with. In the child nothing may be allocated or locked, because a thread that
// is not there any more may have held the lock.
struct Start {
  std::string path;
  std::vector<char*> argv, environment;
  int program, link;
};

int Execute(void* of) {
  const auto& start = *static_cast<const Start*>(of);
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &usual, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(start.link, kLinkFd) < 0 || dup2(start.program, kProgramFd) < 0) _exit(EX_OSERR);
  // A library may have opened a descriptor without close-on-exec: the TPM's socket, which it opens for each
  // command. The software TPM serves one connection at a time, and would wait for this copy's end.
  close_range(kProgramFd + 1, ~0U, 0);
  execve(start.path.c_str(), start.argv.data(), start.environment.data());
  _exit(EX_OSERR);
}

// The successor becomes a child of this process's parent. A service manager waits for the end of its own
// children only, and would otherwise kill the successor in the same moment in which it asks it to stop.
Result<pid_t> Spawn(int program, std::vector<std::string> words, int link) {
  constexpr std::size_t kStack = std::size_t{64} << 10;
  std::vector<std::string> kept = Environment();
  Start start{.path = "/proc/self/fd/" + std::to_string(kProgramFd),
              .argv = Pointers(words),
              .environment = Pointers(kept),
              .program = program,
              .link = link};
  alignas(16) std::array<std::uint8_t, kStack> stack;
  // Not blocked, a signal could reach a handler of this process in the child.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = clone(Execute, stack.data() + stack.size(), CLONE_PARENT | SIGCHLD, &start);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return Fail(OsError("clone", words[0], error));
  return pid;
}

}  // namespace

std::string EncodeHandover(const HandoverMessage& message) {
  return DumpJson(WriteMembers(kMembers, message));
}

Result<HandoverMessage> ParseHandover(std::string_view text) {
  HandoverMessage message;
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "handover", kMaxMessage));
  ASSAY_ASSIGN(const std::uint64_t format, doc.root().U64("format"));
  if (format != kHandoverFormat) return Fail(ParseError("handover", 0, "unknown format"));
  ASSAY_TRY(ReadMembers(kMembers, doc.root(), message));
  return message;
}

HandoverLink HandoverLink::Inherited(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  close_range(static_cast<unsigned>(fd) + 1, ~0U, 0);
  return HandoverLink(UniqueFd(fd));
}

Result<pid_t> HandoverLink::Peer() const {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return Fail(OsError("getsockopt", "SO_PEERCRED", errno));
  return peer.pid;
}

Result<> HandoverLink::Send(const HandoverMessage& message, const std::vector<int>& fds) const {
  if (fds.size() > kMaxFds) return Fail(UsageError("too many descriptors"));
  HandoverMessage signed_by = message;
  signed_by.version = ASSAY_VERSION;
  std::string text = EncodeHandover(signed_by);
  Result<> sent = SendWithDescriptors(socket_.get(), AsBytes(text), fds);
  explicit_bzero(text.data(), text.size());
  if (const auto* os = sent ? nullptr : sent.error().As<OsError>(); os != nullptr && os->err == EPIPE)
    return Fail(StateError(HandoverError::kRefused, "the other side has ended"));
  return sent;
}

Result<HandoverReceived> HandoverLink::Receive(std::string_view step, std::string_view other,
                                               std::chrono::milliseconds patience) const {
  pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (poll(&wait, 1, static_cast<int>(patience.count())) != 1)
    return Fail(StateError(HandoverError::kSilent,
                           "the other side said nothing, '" + std::string(step) + "' was expected"));
  Bytes text(kMaxMessage);
  Result<ReceivedMessage> got = ReceiveWithDescriptors(socket_.get(), text, kMaxFds);
  const auto* os = got ? nullptr : got.error().As<OsError>();
  if (!got && (os == nullptr || os->err != ECONNRESET)) return Fail(got.error());
  if (!got || got->size == 0) return Fail(StateError(HandoverError::kRefused, "the other side has ended"));
  HandoverReceived received{.message = {}, .fds = std::move(got->fds)};
  Result<HandoverMessage> message = ParseHandover(AsText(ByteView(text).first(got->size)));
  explicit_bzero(text.data(), text.size());
  if (!message) return Fail(message.error());
  if (!message->code.empty())
    return Fail(StateError(HandoverError::kRefused, message->error + " (" + message->code + ")"));
  if (message->step != step && (other.empty() || message->step != other))
    return Fail(StateError(HandoverError::kRefused,
                           "'" + message->step + "' came in place of '" + std::string(step) + "'"));
  received.message = std::move(*message);
  return received;
}

void PassSignals(int signals, pid_t successor) {
  pollfd wait{.fd = signals, .events = POLLIN, .revents = 0};
  signalfd_siginfo signal{};
  while (poll(&wait, 1, 0) == 1 && read(signals, &signal, sizeof(signal)) == sizeof(signal))
    kill(successor, static_cast<int>(signal.ssi_signo));
}

void AwaitEnd(pid_t process, std::chrono::milliseconds patience) {
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  pollfd wait{.fd = handle.get(), .events = POLLIN, .revents = 0};
  if (handle) poll(&wait, 1, static_cast<int>(patience.count()));
}

Result<Successor> Successor::Start(const UniqueFd& program, const std::string& path,
                                   const std::string& config_path) {
  Successor next;
  // Above the numbers that the successor's descriptors get.
  next.program_ = UniqueFd(fcntl(program.get(), F_DUPFD_CLOEXEC, kHighFd));
  if (!next.program_) return Fail(OsError("fcntl", "F_DUPFD_CLOEXEC", errno));
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    return Fail(OsError("socketpair", "", errno));
  next.link_ = HandoverLink(UniqueFd(fds[0]));
  const UniqueFd low(fds[1]);
  const UniqueFd theirs(fcntl(low.get(), F_DUPFD_CLOEXEC, kHighFd));
  if (!theirs) return Fail(OsError("fcntl", "F_DUPFD_CLOEXEC", errno));
  const std::string link = std::to_string(kLinkFd);
  ASSAY_ASSIGN(next.pid_,
               Spawn(next.program(), {path, "--config", config_path, "--take-over", link}, theirs.get()));
  return next;
}

Successor::~Successor() {
  if (pid_ <= 0) return;
  constexpr std::chrono::seconds kEndPatience{10};
  kill(pid_, SIGKILL);
  AwaitEnd(pid_, kEndPatience);
}

void ReportAndEnd(const Error& error, const HandoverLink& link) {
  constexpr std::chrono::seconds kLogPatience{1};
  log::Error("the attester is not taken over: {} ({})", error.Message(), error.code());
  if (Result<> r = link.Send({.step = "failed", .code = error.code(), .error = error.Message()}); !r)
    log::Error("{}", r.error().Message());
  log::Drain(kLogPatience);
  _exit(EX_SOFTWARE);
}

Result<std::string> OwnProgramPath() {
  char name[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", name, sizeof(name));
  if (n <= 0) return Fail(OsError("readlink", "/proc/self/exe", errno));
  return std::string(measure::PlaceOf({name, static_cast<std::size_t>(n)}));
}

}  // namespace assay::daemon
