// TLS 1.3 with certificates on both sides, over a non-blocking socket, with a deadline for every operation.
//
//   // given: const TlsIdentity& own, int fd, std::span<std::uint8_t> buffer
//   ASSAY_ASSIGN(SslCtxPtr context, TlsServerContext(own));
//   Deadline deadline(std::chrono::seconds(30));
//   ASSAY_ASSIGN(TlsStream tls, TlsStream::Accept(context.get(), fd, deadline));
//   ASSAY_ASSIGN(std::size_t n, tls.Read(buffer, deadline));
//
// Contract: nothing older than TLS 1.3, no tickets, no early data, no resumption: each connection has its own
// handshake and exporter. Names, dates and issuer of a certificate are ignored: the peer proves that it has
// the key, and is identified by the SHA-256 of its certificate alone. A client shows its own certificate only
// to the peer that it has pinned (else StateError "attest.wrong-peer"). One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "base/crypto.h"

namespace assay::channel {

// The time by which an operation must end: after its allowance, and later the more bytes the peer has sent or
// taken, so that a large answer may take long but a stalled one may not. It is never later than the allowance
// from now.
class Deadline {
 public:
  static constexpr std::uint64_t kMinBytesPerSecond = 64 << 10;
  explicit Deadline(std::chrono::milliseconds allowance)
      : allowance_(allowance), end_(Clock::now() + allowance) {}
  void Progress(std::size_t bytes);
  int RemainingMs() const;  // for poll(); 0: the time is over
  // Waits for events on a descriptor; StateError "attest.timeout" if there are none in time.
  Result<> Wait(int fd, short events) const;

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::milliseconds allowance_;
  Clock::time_point end_;
};

struct TlsIdentity {
  std::string certificate_pem, key_pem;
};
Result<SslCtxPtr> TlsServerContext(const TlsIdentity& own);
Result<SslCtxPtr> TlsClientContext(const TlsIdentity& own);

class TlsStream {
 public:
  // The caller keeps the socket and must keep it open.
  static Result<TlsStream> Accept(SSL_CTX* context, int fd, const Deadline& deadline);
  static Result<TlsStream> Connect(SSL_CTX* context, int fd, const Fingerprint& pinned,
                                   const Deadline& deadline);

  // At least one byte; StateError "attest.closed" when the peer has ended the connection.
  Result<std::size_t> Read(std::span<std::uint8_t> out, const Deadline& deadline);
  Result<> Write(ByteView data, Deadline& deadline);
  // Sends close_notify, and gives the peer time to read what was written, but ignores errors.
  void Close(const Deadline& deadline);

  const Fingerprint& peer() const { return peer_; }    // of its certificate
  const Bytes& exporter() const { return exporter_; }  // RFC 9266, 32 bytes

 private:
  TlsStream(SslPtr ssl, int fd);
  Result<> Handshake(const Deadline& deadline);
  Result<> Flush(const Deadline& deadline);
  Result<> Fill(const Deadline& deadline);

  SslPtr ssl_;
  int fd_;
  std::uint64_t received_ = 0;  // bytes of TLS, for the bound on the size of a handshake
  bool open_ = false;
  Fingerprint peer_;
  Bytes exporter_;
};

}  // namespace assay::channel
