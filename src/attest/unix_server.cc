#include "attest/unix_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <list>
#include <thread>

#include "attest/stream.h"
#include "base/log.h"

namespace assay::attest {

namespace {

struct Connection {
  UniqueFd peer;
  std::atomic<bool> done{false};
  std::thread thread;
};

}  // namespace

struct UnixServer::Impl {
  UnixServerOptions options;
  Responder* responder = nullptr;
  UniqueFd listener, stop;
  std::thread thread;

  Result<> Listen();
  void Loop();
  void Serve(const UniqueFd& peer);
};

Result<> UnixServer::Impl::Listen() {
  ASSAY_ASSIGN(const sockaddr_un address, UnixAddress(options.path));
  listener.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return Fail(OsError("socket", "", errno));
  unlink(options.path.c_str());
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return Fail(OsError("bind", options.path, errno));
  // Everybody may ask; how much is shown depends on who it is.
  if (chmod(options.path.c_str(), 0666) != 0) return Fail(OsError("chmod", options.path, errno));
  if (listen(listener.get(), 16) != 0) return Fail(OsError("listen", options.path, errno));
  return {};
}

void UnixServer::Impl::Serve(const UniqueFd& peer) {
  ucred who{};
  socklen_t size = sizeof(who);
  if (getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return;
  const Level level = who.uid == 0 ? Level::kFull : options.level;
  Deadline deadline(options.timeout);
  const auto respond = [&]() -> Result<Reply> {
    ASSAY_ASSIGN(const Bytes frame,
                 ReceiveFrame([&](std::span<std::uint8_t> out) { return Recv(peer.get(), out, deadline); },
                              kMaxChallenge));
    ASSAY_ASSIGN(const Question question, DecodeQuestion(frame));
    return responder->Respond(question, {"unix", {}}, level);
  };
  Result<Reply> reply = respond();
  if (!reply) reply = Reply::Refuse({"bad-request", reply.error().Message()});
  deadline = Deadline(options.timeout);
  if (auto r = reply->Send([&](ByteView piece) { return SendAll(peer.get(), piece, deadline); }); !r)
    log::Debug("challenge: {}", r.error().Message());
}

void UnixServer::Impl::Loop() {
  std::list<Connection> serving;
  while (true) {
    pollfd wait[2] = {{.fd = listener.get(), .events = POLLIN, .revents = 0},
                      {.fd = stop.get(), .events = POLLIN, .revents = 0}};
    poll(wait, 2, 1000);
    std::erase_if(serving, [](Connection& c) {
      if (!c.done) return false;
      c.thread.join();
      return true;
    });
    if (wait[1].revents != 0) break;
    UniqueFd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) continue;
    if (serving.size() >= options.max_connections) {
      const Bytes busy = EncodeRefusal({"busy", "too many connections"});
      [[maybe_unused]] const ssize_t n = send(peer.get(), busy.data(), busy.size(), MSG_NOSIGNAL);
      continue;
    }
    Connection& c = serving.emplace_back();
    c.peer = std::move(peer);
    c.thread = std::thread([this, &c] {
      Serve(c.peer);
      shutdown(c.peer.get(), SHUT_RDWR);
      c.done = true;
    });
  }
  for (Connection& c : serving) {
    shutdown(c.peer.get(), SHUT_RDWR);
    c.thread.join();
  }
}

UnixServer::UnixServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

UnixServer::~UnixServer() {
  const std::uint64_t one = 1;
  if (::write(impl_->stop.get(), &one, sizeof(one)) < 0) log::Error("challenge: can't stop");
  impl_->thread.join();
  unlink(impl_->options.path.c_str());
}

Result<std::unique_ptr<UnixServer>> UnixServer::Start(UnixServerOptions options, Responder& responder) {
  auto impl = std::make_unique<Impl>();
  Impl* raw = impl.get();
  raw->options = std::move(options);
  raw->responder = &responder;
  raw->stop.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!raw->stop) return Fail(OsError("eventfd", "", errno));
  ASSAY_TRY(raw->Listen());
  raw->thread = std::thread([raw] { raw->Loop(); });
  return std::unique_ptr<UnixServer>(new UnixServer(std::move(impl)));
}

}  // namespace assay::attest
