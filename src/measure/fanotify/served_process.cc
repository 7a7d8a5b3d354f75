#include "measure/fanotify/served_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <utility>

#include "base/log.h"
#include "measure/engine/errors.h"
#include "measure/fanotify/errors.h"

namespace assay::measure {
namespace {

constexpr int kReadyMs = 10'000;  // a loaded machine included
constexpr int kHighFd = 10;       // above those that the process gets
constexpr auto kReadPatience = std::chrono::milliseconds(500);
constexpr auto kPause = std::chrono::milliseconds(10);

struct SocketPair {
  UniqueFd ours, theirs;
};

Result<SocketPair> MakePair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    return Fail(OsError("socketpair", "", errno));
  SocketPair pair{UniqueFd(fds[0]), UniqueFd()};
  const UniqueFd theirs(fds[1]);
  pair.theirs = UniqueFd(fcntl(theirs.get(), F_DUPFD_CLOEXEC, kHighFd));
  if (!pair.theirs) return Fail(OsError("fcntl", "F_DUPFD_CLOEXEC", errno));
  return pair;
}

Result<pid_t> Spawn(const std::string& program, int life, int calls) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, life, kServedLifeFd);
  posix_spawn_file_actions_adddup2(&files, calls, kServedCallsFd);
  posix_spawn_file_actions_addclosefrom_np(&files, kServedCallsFd + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char* argv[] = {const_cast<char*>(program.c_str()), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.c_str(), &files, &attributes, argv, environment);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return Fail(OsError("posix_spawn", program, error));
  return pid;
}

}  // namespace

Result<std::unique_ptr<ServedProcess>> ServedProcess::Start(const std::string& program,
                                                            const ServedSetup& setup, ServedOwner owner) {
  std::unique_ptr<ServedProcess> p(new ServedProcess(std::move(owner), setup.bank));
  ASSAY_ASSIGN(SocketPair life, MakePair());
  ASSAY_ASSIGN(SocketPair calls, MakePair());
  p->life_ = std::move(life.ours);
  p->calls_ = std::move(calls.ours);
  ASSAY_TRY(SendPacketTo(p->life_.get(), Encode(setup)));
  ASSAY_ASSIGN(p->pid_, Spawn(program, life.theirs.get(), calls.theirs.get()));
  life.theirs.Reset();
  calls.theirs.Reset();
  ASSAY_TRY(p->AwaitStart());
  p->server_ = Thread("assay-served", [d = p.get()] { d->Serve(); });
  return p;
}

Result<> ServedProcess::AwaitStart() {
  pollfd wait{.fd = life_.get(), .events = POLLIN, .revents = 0};
  if (poll(&wait, 1, kReadyMs) != 1)
    return Fail(StateError(FanotifyError::kServedStart, "the process of a served mount says nothing"));
  ASSAY_ASSIGN(const Bytes packet, ReceivePacketFrom(life_.get()));
  ASSAY_ASSIGN(ServedReport report, ParseServedReport(packet));
  if (!report.started) return Fail(ForwardedError(report.code, report.what));
  const MutexLock lock(mutex_);
  report_ = std::move(report);
  return {};
}

SinkReply ServedProcess::Answer(const SinkCall& call) {
  SinkReply reply{.ok = true};
  const auto take = [&](const Result<Recorded>& recorded) {
    reply.ok = recorded.has_value();
    if (recorded) {
      reply.yes = recorded->is_new;
      reply.index = recorded->index;
    } else {
      reply.code = recorded.error().code();
      reply.what = recorded.error().Message();
    }
  };
  if (call.kind == SinkCall::Kind::kRefused) {
    owner_.refused({call.path, call.digest, call.context, call.flag});
    return reply;
  }
  if (!owner_.uses.Enter())
    return {.code = std::string(ErrorCode(EngineError::kStopped).name()), .what = "the engine is stopped"};
  switch (call.kind) {
    case SinkCall::Kind::kRecord:
      take(owner_.sink->Record({.digest = call.digest,
                                .path = call.path,
                                .context = call.context,
                                .record = call.flag ? ima::Template::kNgCgroup : ima::Template::kNg,
                                .code = call.code.size() == 0 ? std::nullopt : std::optional(call.code)}));
      break;
    case SinkCall::Kind::kViolation:
      take(owner_.sink->RecordViolation(call.violation, call.path, call.context));
      break;
    case SinkCall::Kind::kFlush:
      if (const Result<> flushed = owner_.sink->Flush(); !flushed) take(Fail(flushed.error()));
      break;
    case SinkCall::Kind::kKnown:
      reply.yes = owner_.known && owner_.known(call.digest);
      break;
    case SinkCall::Kind::kRefused:
      break;
  }
  owner_.uses.Leave();
  return reply;
}

bool ServedProcess::TakeCall() {
  const Result<Bytes> packet = ReceivePacketFrom(calls_.get());
  if (!packet) return false;
  const Result<SinkCall> call = ParseSinkCall(*packet, bank_);
  if (!call) {
    log::Error("the process of a served mount: {}", call.error().Message());
    return false;
  }
  return SendPacketTo(calls_.get(), Encode(Answer(*call)), MSG_DONTWAIT).has_value();
}

bool ServedProcess::TakeReport() {
  const Result<Bytes> packet = ReceivePacketFrom(life_.get());
  if (!packet) return false;
  Result<ServedReport> report = ParseServedReport(*packet);
  if (!report) return false;
  const MutexLock lock(mutex_);
  report_ = std::move(*report);
  return true;
}

void ServedProcess::Serve() {
  bool alive = true;
  while (alive) {
    std::array<pollfd, 2> wait{pollfd{calls_.get(), POLLIN, 0}, pollfd{life_.get(), POLLIN, 0}};
    if (poll(wait.data(), wait.size(), -1) < 0) {
      alive = errno == EINTR;
      continue;
    }
    // Reports are read first, so that the last one is not lost when both sockets have ended.
    if (wait[1].revents != 0)
      alive = TakeReport();
    else if (wait[0].revents != 0)
      alive = TakeCall();
  }
  // If the process sent something malformed, this ends it.
  shutdown(calls_.get(), SHUT_RDWR);
  shutdown(life_.get(), SHUT_RDWR);
  const MutexLock lock(mutex_);
  ended_ = true;
}

bool ServedProcess::Alive() const {
  const MutexLock lock(mutex_);
  return !ended_;
}

EngineStats ServedProcess::Stats() const {
  const MutexLock lock(mutex_);
  return report_.stats;
}

Result<> ServedProcess::Health() const {
  const MutexLock lock(mutex_);
  if (ended_) return Fail(StateError(FanotifyError::kServedEnded, "the process of a served mount ended"));
  if (!report_.code.empty()) return Fail(ForwardedError(report_.code, report_.what));
  return {};
}

void ServedProcess::AskToStop() {
  if (life_) shutdown(life_.get(), SHUT_WR);
}

void ServedProcess::End(std::chrono::steady_clock::time_point until) {
  AskToStop();
  bool reaped = pid_ <= 0;
  const auto reap = [&] { return reaped || (reaped = waitpid(pid_, nullptr, WNOHANG) == pid_); };
  while (!reap() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(kPause);
  if (!reaped) {
    kill(pid_, SIGKILL);
    const auto last = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (!reap() && std::chrono::steady_clock::now() < last) std::this_thread::sleep_for(kPause);
    if (!reaped) log::Error("a process hangs in a served file system and is left behind: {}", pid_);
  }
  pid_ = -1;
  // Its last report has still to be read.
  const auto read_by = std::chrono::steady_clock::now() + kReadPatience;
  while (server_.Joinable() && Alive() && std::chrono::steady_clock::now() < read_by)
    std::this_thread::sleep_for(kPause);
  if (calls_) shutdown(calls_.get(), SHUT_RDWR);
  if (life_) shutdown(life_.get(), SHUT_RDWR);
  server_.Join();
}

ServedProcess::~ServedProcess() { End(std::chrono::steady_clock::now()); }

}  // namespace assay::measure
