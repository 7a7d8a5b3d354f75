#include "attest/unix_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <thread>

#include "base/event_fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "channel/stream.h"
#include "evidence/errors.h"

namespace assay::attest {

namespace {

using Clock = std::chrono::steady_clock;
// Time that a connection has before it may be closed for another one.
constexpr std::chrono::milliseconds kPatience{1000};
constexpr std::chrono::milliseconds kEndPatience{1000};  // at the end, with questions that came
constexpr std::chrono::milliseconds kAskPatience{200};   // then, with connections that have not asked yet
constexpr unsigned kShares = 4;                          // one user may have 1/kShares of the connections

struct Connection {
  UniqueFd peer;
  uid_t uid = 0;
  Clock::time_point since = Clock::now();
  std::atomic<bool> hearing{true};  // it has not sent its question yet
  bool cut = false;                 // it was closed for another connection and is about to end
  std::atomic<bool> done{false};
  Thread thread;
};
using Connections = std::list<Connection>;

// Closes the oldest of the connections that have not yet sent their question. False: there is none.
template <typename Of>
bool MakeRoom(Connections& serving, Of of) {
  Connection* oldest = nullptr;
  for (Connection& c : serving) {
    if (c.cut || !c.hearing || !of(c) || Clock::now() - c.since < kPatience) continue;
    if (oldest == nullptr || c.since < oldest->since) oldest = &c;
  }
  if (oldest == nullptr) return false;
  oldest->cut = true;
  shutdown(oldest->peer.get(), SHUT_RDWR);
  return true;
}

}  // namespace

struct UnixServer::Impl {
  UnixServerOptions options;
  std::atomic<evidence::Level> level{evidence::Level::kQuote};
  Responder* responder = nullptr;
  UniqueFd listener;
  bool shared = false;
  EventFd stop;
  Thread thread;

  Result<> Listen();
  void Loop();
  void Serve(Connection& c);
  bool Admit(Connections& serving, uid_t uid) const;
};

Result<> UnixServer::Impl::Listen() {
  ASSAY_ASSIGN(const sockaddr_un address, channel::UnixAddress(options.path));
  listener.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return Fail(OsError("socket", "", errno));
  unlink(options.path.c_str());
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return Fail(OsError("bind", options.path, errno));
  // Every user may connect; what it is shown depends on its user id.
  if (chmod(options.path.c_str(), 0666) != 0) return Fail(OsError("chmod", options.path, errno));
  if (listen(listener.get(), 16) != 0) return Fail(OsError("listen", options.path, errno));
  return {};
}

// Root's connections and those of other users are counted separately, and one user may have a share of the
// latter.
bool UnixServer::Impl::Admit(Connections& serving, uid_t uid) const {
  const auto count = [&](auto of) {
    return static_cast<unsigned>(
        std::count_if(serving.begin(), serving.end(), [&](const Connection& c) { return !c.cut && of(c); }));
  };
  const auto own = [uid](const Connection& c) { return c.uid == uid; };
  const auto alike = [uid](const Connection& c) { return (c.uid == 0) == (uid == 0); };
  const unsigned share = std::max(1U, options.max_connections / kShares);
  if (uid != 0 && count(own) >= share) return MakeRoom(serving, own);
  if (count(alike) >= options.max_connections) return MakeRoom(serving, alike);
  return true;
}

void UnixServer::Impl::Serve(Connection& c) {
  const UniqueFd& peer = c.peer;
  const evidence::Level seen = c.uid == 0 ? evidence::Level::kFull : level.load();
  channel::Deadline deadline(options.timeout);
  const auto respond = [&]() -> Result<Reply> {
    ASSAY_ASSIGN(const Bytes frame,
                 channel::ReceiveFrame(
                     [&](std::span<std::uint8_t> out) { return channel::Recv(peer.get(), out, deadline); },
                     evidence::kMaxChallenge));
    c.hearing = false;
    ASSAY_ASSIGN(const evidence::Question question, evidence::DecodeQuestion(frame));
    return responder->Respond(question, {"unix", {}}, seen);
  };
  Result<Reply> reply = respond();
  if (!reply) reply = Reply::Refuse({evidence::RefusalCode::kBadRequest, reply.error().Message()});
  responder->callers().Note({"user " + std::to_string(c.uid), "unix", seen}, reply->refused(),
                            reply->after_reboot());
  deadline = channel::Deadline(options.timeout);
  if (auto r = reply->Send([&](ByteView piece) { return channel::SendAll(peer.get(), piece, deadline); }); !r)
    log::Debug("challenge: {}", r.error().Message());
}

void UnixServer::Impl::Loop() {
  Connections serving;
  while (true) {
    pollfd wait[2] = {{.fd = listener.get(), .events = POLLIN, .revents = 0},
                      {.fd = stop.get(), .events = POLLIN, .revents = 0}};
    poll(wait, 2, 1000);
    std::erase_if(serving, [](Connection& c) {
      if (!c.done) return false;
      c.thread.Join();
      return true;
    });
    if (wait[1].revents != 0) break;
    UniqueFd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) continue;
    ucred who{};
    socklen_t size = sizeof(who);
    if (getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) continue;
    if (!Admit(serving, who.uid)) {
      const Bytes busy = evidence::EncodeRefusal({evidence::RefusalCode::kBusy, "too many connections"});
      [[maybe_unused]] const ssize_t n = send(peer.get(), busy.data(), busy.size(), MSG_NOSIGNAL);
      continue;
    }
    Connection& c = serving.emplace_back();
    c.peer = std::move(peer);
    c.uid = who.uid;
    c.thread = Thread("assay-answer", [this, &c] {
      Serve(c);
      shutdown(c.peer.get(), SHUT_RDWR);
      c.done = true;
    });
  }
  // The questions that have come are still answered.
  const auto until = Clock::now() + kEndPatience;
  const auto asks = [](const Connection& c) {
    return !c.done && !c.cut && (!c.hearing || Clock::now() - c.since < kAskPatience);
  };
  while (Clock::now() < until && std::any_of(serving.begin(), serving.end(), asks))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  for (Connection& c : serving) {
    shutdown(c.peer.get(), SHUT_RDWR);
    c.thread.Join();
  }
}

UnixServer::UnixServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

UnixServer::~UnixServer() {
  impl_->stop.Signal();
  impl_->thread.Join();
  if (!impl_->shared) unlink(impl_->options.path.c_str());
}

Result<UniqueFd> UnixServer::ShareListener() {
  UniqueFd same(fcntl(impl_->listener.get(), F_DUPFD_CLOEXEC, 0));
  if (!same) return Fail(OsError("fcntl", "the listening socket", errno));
  impl_->shared = true;
  return same;
}

void UnixServer::SetLevel(evidence::Level level) { impl_->level = level; }

Result<std::unique_ptr<UnixServer>> UnixServer::Start(UnixServerOptions options, Responder& responder,
                                                      UniqueFd listener) {
  auto impl = std::make_unique<Impl>();
  Impl* raw = impl.get();
  raw->level = options.level;
  raw->options = std::move(options);
  raw->responder = &responder;
  ASSAY_ASSIGN(raw->stop, EventFd::Make());
  raw->listener = std::move(listener);
  if (!raw->listener) ASSAY_TRY(raw->Listen());
  raw->thread = Thread("assay-local", [raw] { raw->Loop(); });
  return std::unique_ptr<UnixServer>(new UnixServer(std::move(impl)));
}

}  // namespace assay::attest
