#include "attest/net_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <vector>

#include "attest/errors.h"
#include "attest/inner.h"
#include "attest/net_process.h"
#include "base/event_fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "evidence/errors.h"

namespace assay::attest {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::milliseconds kFirstPause = 100ms, kLongestPause = 10s, kGoodLife = 60s;

struct AddrinfoDelete {
  void operator()(addrinfo* p) const { freeaddrinfo(p); }
};

Result<UniqueFd> Listen(std::string host, int port) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* raw = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw) != 0)
    return Fail(UsageError("serve/listen: not an address: " + host));
  const std::unique_ptr<addrinfo, AddrinfoDelete> address(raw);
  UniqueFd fd(socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Fail(OsError("socket", "", errno));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // The attester starts before the network, so the address may not exist yet.
  if (address->ai_family == AF_INET6)
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
  else
    setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
  const std::string where = fmt::format("{}:{}", host, port);
  if (bind(fd.get(), address->ai_addr, address->ai_addrlen) != 0) return Fail(OsError("bind", where, errno));
  if (listen(fd.get(), 128) != 0) return Fail(OsError("listen", where, errno));
  return fd;
}

Result<int> PortOf(const UniqueFd& fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return Fail(OsError("getsockname", "", errno));
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

Result<> TryListen(const std::string& host, int port) {
  ASSAY_TRY(Listen(host, port));
  return {};
}

struct NetServer::Impl {
  ServerOptions options;
  Responder* responder = nullptr;
  UniqueFd listener;
  EventFd stop, wake;  // wake: a slot has been answered
  int port = 0;
  Thread thread;

  mutable Mutex mutex;
  CondVar first;
  NetworkState state ASSAY_GUARDED_BY(mutex);
  std::map<Fingerprint, evidence::Level> allow ASSAY_GUARDED_BY(mutex);
  std::optional<Result<>> first_outcome ASSAY_GUARDED_BY(mutex);

  // One question of a slot while it is being answered. Other packets of the slot are not read in that time.
  struct Work {
    Thread thread;
    std::atomic<bool> done{true};
  };

  NetSetup Setup() const;
  void Supervise();
  Result<> RunOnce();
  Result<> ServeSlots(const NetProcess& process);
  Result<> Take(const NetProcess& process, std::size_t slot, Work& work);
  Result<> Answer(int fd, const NetRequest& request);
  bool Stopped(std::chrono::milliseconds within) const;
  void Report(const Result<>& outcome);
};

NetSetup NetServer::Impl::Setup() const {
  return {.parent = static_cast<std::uint32_t>(getpid()),
          .uid = options.uid,
          .gid = options.gid,
          .slots = std::clamp(options.max_connections, 1U, kMaxSlots),
          .timeout_ms = static_cast<std::uint32_t>(std::chrono::milliseconds(options.timeout).count()),
          .certificate_pem = options.certificate_pem,
          .key_pem = options.key_pem};
}

bool NetServer::Impl::Stopped(std::chrono::milliseconds within) const {
  pollfd wait{.fd = stop.get(), .events = POLLIN, .revents = 0};
  return poll(&wait, 1, static_cast<int>(within.count())) > 0;
}

// Reports the outcome that Start() waits for.
void NetServer::Impl::Report(const Result<>& outcome) {
  const MutexLock lock(mutex);
  if (!first_outcome) first_outcome = outcome;
  first.NotifyAll();
}

Result<> NetServer::Impl::Answer(int fd, const NetRequest& request) {
  std::optional<evidence::Level> level;
  {
    const MutexLock lock(mutex);
    if (const auto allowed = allow.find(request.fingerprint); allowed != allow.end()) level = allowed->second;
  }
  const Reply reply =
      level ? responder->Respond(request.question, {"tls-exporter", ToBytes(request.exporter)}, *level)
            : Reply::Refuse(
                  {evidence::RefusalCode::kForbidden, "this certificate is not allowed to challenge"});
  responder->callers().Note({request.fingerprint.ToString(), "tls", level}, reply.refused(),
                            reply.after_reboot());
  ASSAY_TRY(SendPacket(fd, EncodeNetAnswer(reply.size())));
  return reply.Send([&](ByteView piece) -> Result<> {
    for (; !piece.empty(); piece = piece.subspan(std::min(piece.size(), kNetChunk)))
      ASSAY_TRY(SendPacket(fd, piece.first(std::min(piece.size(), kNetChunk))));
    return {};
  });
}

Result<> NetServer::Impl::Take(const NetProcess& process, std::size_t slot, Work& work) {
  ASSAY_ASSIGN(const Bytes packet, ReceivePacket(process.slot(slot), kNetRequestMax));
  ASSAY_ASSIGN(NetRequest request, ParseNetRequest(packet));
  work.thread.Join();
  work.done = false;
  work.thread = Thread("assay-answer", [this, &process, slot, &work, q = std::move(request)] {
    // The rest of an incomplete answer can't be sent later, so the network process is ended, and with it the
    // connection that waits for it.
    if (const Result<> sent = Answer(process.slot(slot), q); !sent) {
      log::Warn("challenge: an answer could not be sent completely: {}", sent.error().Message());
      shutdown(process.control(), SHUT_RDWR);
    }
    work.done = true;
    wake.Signal();
  });
  return {};
}

// Serves until the process ends or misbehaves (an error), or until the server is to stop (no error).
Result<> NetServer::Impl::ServeSlots(const NetProcess& process) {
  std::deque<Work> work(Setup().slots);
  const auto serve = [&]() -> Result<> {
    while (true) {
      std::vector<pollfd> wait{{.fd = stop.get(), .events = POLLIN, .revents = 0},
                               {.fd = wake.get(), .events = POLLIN, .revents = 0},
                               {.fd = process.control(), .events = POLLIN, .revents = 0}};
      const std::size_t fixed = wait.size();
      for (std::size_t i = 0; i < work.size(); ++i)
        wait.push_back({.fd = work[i].done ? process.slot(i) : -1, .events = POLLIN, .revents = 0});
      if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return Fail(OsError("poll", "", errno));
      if (wait[0].revents != 0) return {};
      wake.Drain();
      // The process has already sent its report, so any further event on this socket means that it has ended.
      if (wait[2].revents != 0) return Fail(StateError(NetError::kGone, "it is gone"));
      for (std::size_t i = 0; i < work.size(); ++i)
        if (wait[fixed + i].revents != 0) ASSAY_TRY(Take(process, i, work[i]));
    }
  };
  const Result<> end = serve();
  // These answers are no longer needed, and the shutdown keeps a thread from waiting for the process.
  for (std::size_t i = 0; i < work.size(); ++i) shutdown(process.slot(i), SHUT_RDWR);
  for (Work& w : work) w.thread.Join();
  return end;
}

Result<> NetServer::Impl::RunOnce() {
  ASSAY_ASSIGN(const std::unique_ptr<NetProcess> process,
               NetProcess::Start(options.net_program, Setup(), listener));
  ASSAY_ASSIGN(const std::uint32_t abi, process->AwaitReady());
  if (abi == 0)
    log::Warn("challenge: this kernel has no Landlock; only seccomp keeps the network process from files");
  {
    const MutexLock lock(mutex);
    state.serving = true;
    state.pid = process->pid();
    state.landlock_abi = abi;
  }
  Report({});
  const Result<> end = ServeSlots(*process);
  const std::string how = process->End();
  const MutexLock lock(mutex);
  state.serving = false;
  state.pid = -1;
  if (end) return {};
  return Fail(StateError(NetError::kGone, fmt::format("{} ({})", how, end.error().Message())));
}

void NetServer::Impl::Supervise() {
  std::chrono::milliseconds pause = kFirstPause;
  while (true) {
    const auto began = std::chrono::steady_clock::now();
    const Result<> end = RunOnce();
    Report(end);
    if (Stopped(0ms)) return;
    if (end) continue;
    if (std::chrono::steady_clock::now() - began > kGoodLife) pause = kFirstPause;
    {
      const MutexLock lock(mutex);
      ++state.restarts;
      state.last_end = end.error().Message();
    }
    log::Error("challenge: the network process: {}; a new one in {} ms", end.error().Message(),
               pause.count());
    if (Stopped(pause)) return;
    pause = std::min(pause * 2, kLongestPause);
  }
}

NetServer::NetServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

NetServer::~NetServer() {
  impl_->stop.Signal();
  impl_->thread.Join();
}

int NetServer::port() const { return impl_->port; }

NetworkState NetServer::State() const {
  const MutexLock lock(impl_->mutex);
  return impl_->state;
}

void NetServer::SetAllow(std::map<Fingerprint, evidence::Level> allow) {
  const MutexLock lock(impl_->mutex);
  impl_->allow = std::move(allow);
}

Result<UniqueFd> NetServer::ShareListener() const {
  UniqueFd same(fcntl(impl_->listener.get(), F_DUPFD_CLOEXEC, 0));
  if (!same) return Fail(OsError("fcntl", "the listening socket", errno));
  return same;
}

Result<std::unique_ptr<NetServer>> NetServer::Start(ServerOptions options, Responder& responder,
                                                    UniqueFd listener) {
  std::unique_ptr<NetServer> server(new NetServer(std::make_unique<Impl>()));
  Impl& d = *server->impl_;
  d.options = std::move(options);
  d.responder = &responder;
  ASSAY_ASSIGN(d.stop, EventFd::Make());
  ASSAY_ASSIGN(d.wake, EventFd::Make());
  server->SetAllow(d.options.allow);
  d.listener = std::move(listener);
  if (!d.listener) {
    ASSAY_ASSIGN(d.listener, Listen(d.options.listen_host, std::max(d.options.listen_port, 0)));
  }
  ASSAY_ASSIGN(d.port, PortOf(d.listener));
  // The process is a child of this thread and is killed when the thread ends.
  d.thread = Thread("assay-network", [&d] { d.Supervise(); });
  Result<> started;
  {
    const MutexLock lock(d.mutex);
    while (!d.first_outcome) d.first.Wait(d.mutex);
    started = *d.first_outcome;
  }
  ASSAY_TRY(started);
  return server;
}

}  // namespace assay::attest
