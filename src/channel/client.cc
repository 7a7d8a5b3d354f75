#include "channel/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <memory>

#include "base/fd.h"
#include "channel/errors.h"
#include "channel/stream.h"
#include "channel/tls.h"

namespace assay::channel {
namespace {

struct AddrinfoDelete {
  void operator()(addrinfo* p) const { freeaddrinfo(p); }
};

Result<UniqueFd> ConnectTo(const std::string& host, int port, const Deadline& deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw); error != 0)
    return Fail(StateError(ChannelError::kNoSuchHost, host + ": " + gai_strerror(error)));
  const std::unique_ptr<addrinfo, AddrinfoDelete> addresses(raw);
  Error last = StateError(ChannelError::kNoSuchHost, host + ": no address");
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

Result<evidence::Message> TakeAnswer(const Source& source) {
  ASSAY_ASSIGN(const Bytes frame, ReceiveFrame(source, evidence::kMaxEvidence));
  ASSAY_ASSIGN(evidence::Message message, evidence::DecodeMessage(frame, evidence::kMaxEvidence));
  if (const auto* refusal = std::get_if<evidence::Refusal>(&message))
    return Fail(RefusedError(refusal->code, refusal->message));
  return message;
}

// One question and its answer, over one connection.
struct Exchanged {
  evidence::Message message;
  evidence::Binding binding;
  std::string peer;
};
using Exchange = std::function<Result<Exchanged>(const evidence::Question&)>;

template <typename T>
Result<T> As(evidence::Message& message) {
  auto* wanted = std::get_if<T>(&message);
  if (wanted == nullptr) return Fail(ParseError("message", 8, "the answer is not one to this question"));
  return std::move(*wanted);
}

Result<Answer> Challenged(Result<Exchanged> exchanged) {
  ASSAY_TRY(exchanged);
  ASSAY_ASSIGN(evidence::Evidence evidence, As<evidence::Evidence>(exchanged->message));
  return Answer{.evidence = std::move(evidence),
                .binding = std::move(exchanged->binding),
                .peer = std::move(exchanged->peer)};
}

// Enrols over two connections. A failure to prove the AK is not an error of the exchange but its result.
Result<EnrolAnswer> Enrolled(const Exchange& exchange) {
  EnrolAnswer out;
  Result<Exchanged> first = exchange(evidence::Identify{.device = true});
  if (const auto* refused = first ? nullptr : first.error().As<RefusedError>();
      refused != nullptr && refused->reason == evidence::RefusalCode::kBadRequest)
    first = exchange(evidence::Identify{});  // an older attester does not know the member
  ASSAY_TRY(first);
  ASSAY_ASSIGN(out.identity, As<evidence::Identity>(first->message));
  out.peer = first->peer;
  const Result<evidence::Asked> asked = evidence::AskToActivate(out.identity);
  if (!asked) {
    out.why = asked.error().Message();
    return out;
  }
  Result<Exchanged> second = exchange(asked->message);
  if (!second) {
    const auto* refused = second.error().As<RefusedError>();
    if (refused == nullptr || refused->reason != evidence::RefusalCode::kWrongCredential)
      return Fail(second.error());
    out.why = refused->Message();
    return out;
  }
  ASSAY_ASSIGN(out.activation, As<evidence::Activation>(second->message));
  out.device_qualifying = evidence::DeviceQualifying(asked->message.nonce, second->binding);
  const Result<> proven = evidence::CheckProof(*asked, second->binding, out.activation.proof);
  out.proven = proven.has_value();
  if (!proven) out.why = proven.error().Message();
  return out;
}

Result<Exchanged> ExchangeTls(const TlsPeer& peer, const evidence::Question& question) {
  ASSAY_ASSIGN(const SslCtxPtr context, TlsClientContext({peer.certificate_pem, peer.key_pem}));
  Deadline deadline(peer.timeout);
  ASSAY_ASSIGN(const UniqueFd fd, ConnectTo(peer.host, peer.port, deadline));
  ASSAY_ASSIGN(TlsStream tls, TlsStream::Connect(context.get(), fd.get(), peer.pinned, deadline));
  ASSAY_TRY(tls.Write(evidence::EncodeQuestion(question), deadline));
  ASSAY_ASSIGN(evidence::Message message, TakeAnswer([&](std::span<std::uint8_t> out) -> Result<std::size_t> {
                 ASSAY_ASSIGN(const std::size_t n, tls.Read(out, deadline));
                 deadline.Progress(n);
                 return n;
               }));
  return Exchanged{.message = std::move(message),
                   .binding = {"tls-exporter", tls.exporter()},
                   .peer = tls.peer().ToString()};
}

Result<Exchanged> ExchangeUnix(const std::string& path, const evidence::Question& question,
                               std::chrono::seconds timeout) {
  ASSAY_ASSIGN(const sockaddr_un address, UnixAddress(path));
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(OsError("socket", "", errno));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return Fail(OsError("connect", path, errno));
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return Fail(OsError("fcntl", path, errno));
  Deadline deadline(timeout);
  ASSAY_TRY(SendAll(fd.get(), evidence::EncodeQuestion(question), deadline));
  ASSAY_ASSIGN(evidence::Message message, TakeAnswer([&](std::span<std::uint8_t> out) -> Result<std::size_t> {
                 ASSAY_ASSIGN(const std::size_t n, Recv(fd.get(), out, deadline));
                 deadline.Progress(n);
                 return n;
               }));
  return Exchanged{.message = std::move(message), .binding = {"unix", {}}, .peer = "unix"};
}

}  // namespace

Result<Answer> ChallengeTls(const TlsPeer& peer, const evidence::Challenge& challenge) {
  return Challenged(ExchangeTls(peer, challenge));
}

Result<Answer> ChallengeUnix(const std::string& path, const evidence::Challenge& challenge,
                             std::chrono::seconds timeout) {
  return Challenged(ExchangeUnix(path, challenge, timeout));
}

Result<EnrolAnswer> EnrolTls(const TlsPeer& peer) {
  return Enrolled([&](const evidence::Question& q) { return ExchangeTls(peer, q); });
}

Result<EnrolAnswer> EnrolUnix(const std::string& path, std::chrono::seconds timeout) {
  return Enrolled([&](const evidence::Question& q) { return ExchangeUnix(path, q, timeout); });
}

}  // namespace assay::channel
