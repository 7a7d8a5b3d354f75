// TLS 1.3 with certificates on both sides, over a non-blocking socket, with a deadline for everything.
//
//   ASSAY_ASSIGN(SslCtxPtr ctx, TlsServerContext({certificate_pem, key_pem}));
//   Deadline deadline(std::chrono::seconds(30));
//   ASSAY_ASSIGN(TlsStream tls, TlsStream::Accept(ctx.get(), fd, deadline));
//   ASSAY_ASSIGN(std::size_t n, tls.Read(buffer, deadline));
//
// Contract: nothing older than TLS 1.3, no tickets, no early data, no resumption: each connection has a
// handshake and thus an exporter of its own. A certificate says nothing by its names, dates or issuer: the
// peer proves its key, and is known by the SHA-256 of its certificate alone. A client gives its pin and shows
// its own certificate only to that peer (StateError "attest.wrong-peer"). One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "base/crypto.h"

namespace assay::channel {

// When something must be over: after its allowance, or later by what the peer really took or gave, so that a
// large answer may take long but a stalled one may not. Never more than the allowance from now.
class Deadline {
 public:
  static constexpr std::uint64_t kMinBytesPerSecond = 64 << 10;
  explicit Deadline(std::chrono::milliseconds allowance)
      : allowance_(allowance), end_(Clock::now() + allowance) {}
  void Progress(std::size_t bytes);
  int RemainingMs() const;  // for poll(); 0: it is over
  // Waits for events on a descriptor; StateError "attest.timeout".
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
  // The socket stays the caller's and must stay open.
  static Result<TlsStream> Accept(SSL_CTX* context, int fd, const Deadline& deadline);
  static Result<TlsStream> Connect(SSL_CTX* context, int fd, const Fingerprint& pinned,
                                   const Deadline& deadline);

  // At least one byte; StateError "attest.closed" when the peer has ended the connection.
  Result<std::size_t> Read(std::span<std::uint8_t> out, const Deadline& deadline);
  Result<> Write(ByteView data, Deadline& deadline);
  void Close(
      const Deadline& deadline);  // tells the peer, and lets it take what was written, as well as that goes

  const Fingerprint& peer() const { return peer_; }    // of its certificate
  const Bytes& exporter() const { return exporter_; }  // RFC 9266, 32 bytes

 private:
  TlsStream(SslPtr ssl, int fd);
  Result<> Handshake(const Deadline& deadline);
  Result<> Flush(const Deadline& deadline);
  Result<> Fill(const Deadline& deadline);

  SslPtr ssl_;
  int fd_;
  std::uint64_t received_ = 0;  // bytes of TLS, for the bound on what a handshake may take
  bool open_ = false;
  Fingerprint peer_;
  Bytes exporter_;
};

}  // namespace assay::channel
