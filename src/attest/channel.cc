#include "attest/channel.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/log.h"

namespace assay::attest {
namespace {

constexpr std::size_t kMaxChallenge = 80 << 10;

Result<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Fail(UsageError("too long for a socket: " + path));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

void SetTimeouts(int fd, std::chrono::seconds timeout) {
  const timeval t{.tv_sec = timeout.count(), .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

// One whole message from a stream socket.
Result<Bytes> ReadFrame(int fd, std::size_t max) {
  Bytes frame;
  std::optional<std::uint64_t> size;
  while (!size || frame.size() < *size) {
    const std::size_t have = frame.size();
    const std::size_t want = size ? std::min<std::uint64_t>(*size - have, 1 << 20) : 4096;
    frame.resize(have + want);
    const ssize_t n = recv(fd, frame.data() + have, want, 0);
    if (n < 0 && errno == EINTR) {
      frame.resize(have);
      continue;
    }
    if (n < 0) return Fail(OsError("recv", "", errno));
    if (n == 0) return Fail(ParseError("message", have, "the connection ended within a message"));
    frame.resize(have + static_cast<std::size_t>(n));
    if (!size) {
      ASSAY_ASSIGN(size, FrameSize(frame, max));
    }
  }
  return frame;
}

Result<> SendAll(int fd, ByteView data) {
  while (!data.empty()) {
    const ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(OsError("send", "", errno));
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Bytes Respond(Collector& collector, ByteView request, const Binding& binding, Level level) {
  Result<Message> message = DecodeMessage(request, kMaxChallenge);
  if (!message) return EncodeRefusal({"bad-request", message.error().Message()});
  const auto* challenge = std::get_if<Challenge>(&*message);
  if (challenge == nullptr) return EncodeRefusal({"bad-request", "not a challenge"});
  Result<Evidence> evidence = collector.Collect(*challenge, binding, level);
  if (evidence) return EncodeEvidence(*evidence);
  const std::string code = evidence.error().code();
  if (code == "attest.degraded") return EncodeRefusal({"degraded", evidence.error().Message()});
  if (code == "attest.no-such-record" || code == "usage")
    return EncodeRefusal({"bad-request", evidence.error().Message()});
  log::Error("challenge: {}", evidence.error().Message());
  return EncodeRefusal({"internal", "the attester's log says more"});
}

}  // namespace

std::string DefaultNetProgram() {
  char exe[4096];
  const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
  const std::string self = n > 0 ? std::string(exe, static_cast<std::size_t>(n)) : "/usr/sbin/assayd";
  return self.substr(0, self.rfind('/')) + "/assay-net";
}

struct Server::Impl {
  ServerOptions options;
  Collector* collector = nullptr;
  UniqueFd unix_socket, stop;
  std::thread unix_thread;
  std::atomic<unsigned> connections{0};

  Result<> Listen();
  void Loop();
  void Serve(UniqueFd peer);
};

Result<> Server::Impl::Listen() {
  ASSAY_ASSIGN(const sockaddr_un address, Address(options.unix_path));
  unix_socket.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!unix_socket) return Fail(OsError("socket", "", errno));
  unlink(options.unix_path.c_str());
  if (bind(unix_socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return Fail(OsError("bind", options.unix_path, errno));
  // Everybody may ask; how much is shown depends on who it is.
  if (chmod(options.unix_path.c_str(), 0666) != 0) return Fail(OsError("chmod", options.unix_path, errno));
  if (listen(unix_socket.get(), 16) != 0) return Fail(OsError("listen", options.unix_path, errno));
  return {};
}

void Server::Impl::Serve(UniqueFd peer) {
  SetTimeouts(peer.get(), options.timeout);
  ucred who{};
  socklen_t size = sizeof(who);
  if (getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return;
  const Level level = who.uid == 0 ? Level::kFull : options.unix_level;
  Result<Bytes> request = ReadFrame(peer.get(), kMaxChallenge);
  const Bytes answer = request ? Respond(*collector, *request, {"unix", {}}, level)
                               : EncodeRefusal({"bad-request", request.error().Message()});
  if (auto r = SendAll(peer.get(), answer); !r) log::Debug("challenge: {}", r.error().Message());
}

void Server::Impl::Loop() {
  std::vector<std::pair<std::thread, std::shared_ptr<std::atomic<bool>>>> serving;
  while (true) {
    pollfd wait[2] = {{.fd = unix_socket.get(), .events = POLLIN, .revents = 0},
                      {.fd = stop.get(), .events = POLLIN, .revents = 0}};
    poll(wait, 2, 1000);
    std::erase_if(serving, [](auto& s) {
      if (!*s.second) return false;
      s.first.join();
      return true;
    });
    if (wait[1].revents != 0) break;
    UniqueFd peer(accept4(unix_socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) continue;
    if (serving.size() >= options.max_connections) continue;  // closed: too many
    auto done = std::make_shared<std::atomic<bool>>(false);
    serving.emplace_back(std::thread([this, done, fd = peer.Release()] {
                           Serve(UniqueFd(fd));
                           *done = true;
                         }),
                         done);
  }
  for (auto& s : serving) s.first.join();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  const std::uint64_t one = 1;
  if (impl_->stop && ::write(impl_->stop.get(), &one, sizeof(one)) < 0) log::Error("challenge: can't stop");
  if (impl_->unix_thread.joinable()) impl_->unix_thread.join();
  if (!impl_->options.unix_path.empty()) unlink(impl_->options.unix_path.c_str());
}

int Server::port() const { return 0; }
pid_t Server::network_pid() const { return -1; }

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Collector& collector) {
  auto impl = std::make_unique<Impl>();
  Impl* raw = impl.get();
  raw->options = std::move(options);
  raw->collector = &collector;
  raw->stop.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!raw->stop) return Fail(OsError("eventfd", "", errno));
  if (raw->options.listen_port != 0)
    return Fail(StateError("attest.no-tls", "challenges over TLS are not built yet: leave serve/listen out"));
  if (!raw->options.unix_path.empty()) {
    ASSAY_TRY(raw->Listen());
    raw->unix_thread = std::thread([raw] { raw->Loop(); });
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Result<Answer> ChallengeUnix(const std::string& path, const Challenge& challenge) {
  ASSAY_ASSIGN(const sockaddr_un address, Address(path));
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(OsError("socket", "", errno));
  SetTimeouts(fd.get(), std::chrono::seconds(60));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return Fail(OsError("connect", path, errno));
  ASSAY_TRY(SendAll(fd.get(), EncodeChallenge(challenge)));
  ASSAY_ASSIGN(const Bytes frame, ReadFrame(fd.get(), kMaxEvidence));
  ASSAY_ASSIGN(Message message, DecodeMessage(frame, kMaxEvidence));
  if (const auto* refusal = std::get_if<Refusal>(&message))
    return Fail(StateError("attest.refused",
                           fmt::format("the attester refuses ({}): {}", refusal->code, refusal->message)));
  auto* evidence = std::get_if<Evidence>(&message);
  if (evidence == nullptr) return Fail(ParseError("message", 8, "not evidence"));
  return Answer{.evidence = std::move(*evidence), .binding = {"unix", {}}, .peer = "unix"};
}

}  // namespace assay::attest
