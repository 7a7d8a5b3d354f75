#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>

#include "attest/channel.h"
#include "attest/stream.h"
#include "attest/tls.h"

namespace assay::attest {
namespace {

struct AddrinfoDelete {
  void operator()(addrinfo* p) const { freeaddrinfo(p); }
};

Result<UniqueFd> ConnectTo(const std::string& host, int port, const Deadline& deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw); error != 0)
    return Fail(StateError("attest.no-such-host", host + ": " + gai_strerror(error)));
  const std::unique_ptr<addrinfo, AddrinfoDelete> addresses(raw);
  Error last = StateError("attest.no-such-host", host + ": no address");
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    UniqueFd fd(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return Fail(OsError("socket", "", errno));
    if (connect(fd.get(), a->ai_addr, a->ai_addrlen) == 0) return fd;
    int err = errno;
    if (err == EINPROGRESS) {
      ASSAY_TRY(deadline.Wait(fd.get(), POLLOUT));
      socklen_t size = sizeof(err);
      getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
      if (err == 0) return fd;
    }
    last = OsError("connect", host + ":" + std::to_string(port), err);
  }
  return Fail(last);
}

Result<Evidence> TakeEvidence(const Source& source) {
  ASSAY_ASSIGN(const Bytes frame, ReceiveFrame(source, kMaxEvidence));
  ASSAY_ASSIGN(Message message, DecodeMessage(frame, kMaxEvidence));
  if (const auto* refusal = std::get_if<Refusal>(&message))
    return Fail(RefusedError(refusal->code, refusal->message));
  auto* evidence = std::get_if<Evidence>(&message);
  if (evidence == nullptr) return Fail(ParseError("message", 8, "not evidence"));
  return std::move(*evidence);
}

}  // namespace

Result<Answer> ChallengeTls(const TlsPeer& peer, const Challenge& challenge) {
  ASSAY_ASSIGN(const Bytes pin, FromHex(peer.pinned));
  ASSAY_ASSIGN(const Digest pinned, Digest::Of(HashAlg::kSha256, pin));
  ASSAY_ASSIGN(const SslCtxPtr context, TlsClientContext({peer.certificate_pem, peer.key_pem}));
  Deadline deadline(peer.timeout);
  ASSAY_ASSIGN(const UniqueFd fd, ConnectTo(peer.host, peer.port, deadline));
  ASSAY_ASSIGN(TlsStream tls, TlsStream::Connect(context.get(), fd.get(), pinned, deadline));
  ASSAY_TRY(tls.Write(EncodeChallenge(challenge), deadline));
  ASSAY_ASSIGN(Evidence evidence, TakeEvidence([&](std::span<std::uint8_t> out) -> Result<std::size_t> {
                 ASSAY_ASSIGN(const std::size_t n, tls.Read(out, deadline));
                 deadline.Progress(n);
                 return n;
               }));
  return Answer{
      .evidence = std::move(evidence), .binding = {"tls-exporter", tls.exporter()}, .peer = tls.peer().hex()};
}

Result<Answer> ChallengeUnix(const std::string& path, const Challenge& challenge) {
  constexpr std::chrono::seconds kTimeout{60};
  ASSAY_ASSIGN(const sockaddr_un address, UnixAddress(path));
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(OsError("socket", "", errno));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return Fail(OsError("connect", path, errno));
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return Fail(OsError("fcntl", path, errno));
  Deadline deadline(kTimeout);
  ASSAY_TRY(SendAll(fd.get(), EncodeChallenge(challenge), deadline));
  ASSAY_ASSIGN(Evidence evidence, TakeEvidence([&](std::span<std::uint8_t> out) -> Result<std::size_t> {
                 ASSAY_ASSIGN(const std::size_t n, Recv(fd.get(), out, deadline));
                 deadline.Progress(n);
                 return n;
               }));
  return Answer{.evidence = std::move(evidence), .binding = {"unix", {}}, .peer = "unix"};
}

}  // namespace assay::attest
