#include "channel/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "channel/errors.h"

namespace assay::channel {
namespace {

constexpr std::uint64_t kMaxHandshake = 64 << 10;  // bytes that a peer may send during the handshake
constexpr long kMaxCertificates = 16 << 10;        // bytes of a peer's certificates
constexpr std::string_view kExporterLabel = "EXPORTER-Channel-Binding";  // RFC 9266, section 2

// The index under which the verification callback finds the client's pin.
int PinIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Used instead of a chain of trust: a client compares the certificate with its pin, and a server leaves the
// decision to its caller, which knows the allowed fingerprints. In both cases TLS itself proves that the peer
// has the certificate's key.
int VerifyPeer(X509_STORE_CTX* store, void*) {
  const auto* ssl =
      static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* pinned = static_cast<const Fingerprint*>(SSL_get_ex_data(ssl, PinIndex()));
  if (pinned == nullptr) return SSL_is_server(ssl);
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate == nullptr) return 0;
  if (CertificateFingerprint(certificate) == *pinned) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

Result<SslCtxPtr> MakeContext(const SSL_METHOD* method, const TlsIdentity& own) {
  SslCtxPtr ctx(SSL_CTX_new(method));
  if (!ctx || SSL_CTX_set_min_proto_version(ctx.get(), TLS1_3_VERSION) != 1) return Fail(OpenSslError("TLS"));
  ASSAY_ASSIGN(const X509Ptr certificate, CertificateFromPem(own.certificate_pem));
  ASSAY_ASSIGN(const PrivateKey key, PrivateKey::FromPem(own.key_pem));
  if (SSL_CTX_use_certificate(ctx.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(ctx.get(), key.get()) != 1 || SSL_CTX_check_private_key(ctx.get()) != 1)
    return Fail(OpenSslError("certificate and key"));
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_num_tickets(ctx.get(), 0) != 1) return Fail(OpenSslError("TLS"));
  SSL_CTX_set_max_cert_list(ctx.get(), kMaxCertificates);
  SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(ctx.get(), VerifyPeer, nullptr);
  return ctx;
}

}  // namespace

void Deadline::Progress(std::size_t bytes) {
  const std::chrono::microseconds earned(bytes * 1'000'000 / kMinBytesPerSecond);
  end_ = std::min(end_ + earned, Clock::now() + allowance_);
}

int Deadline::RemainingMs() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000'000));
}

Result<> Deadline::Wait(int fd, short events) const {
  while (true) {
    const int left = RemainingMs();
    if (left == 0) return Fail(StateError(ChannelError::kTimeout, "the peer is too slow"));
    pollfd wait{.fd = fd, .events = events, .revents = 0};
    const int n = poll(&wait, 1, left);
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return Fail(OsError("poll", "", errno));
  }
}

Result<SslCtxPtr> TlsServerContext(const TlsIdentity& own) { return MakeContext(TLS_server_method(), own); }
Result<SslCtxPtr> TlsClientContext(const TlsIdentity& own) { return MakeContext(TLS_client_method(), own); }

TlsStream::TlsStream(SslPtr ssl, int fd) : ssl_(std::move(ssl)), fd_(fd) {}

// OpenSSL reads from and writes to memory. This class uses the socket itself, so that each wait has a
// deadline and SIGPIPE is not raised.
Result<> TlsStream::Flush(const Deadline& deadline) {
  char* pending = nullptr;
  BIO* out = SSL_get_wbio(ssl_.get());
  const long size = BIO_get_mem_data(out, &pending);
  for (long sent = 0; sent < size;) {
    const ssize_t n = send(fd_, pending + sent, static_cast<std::size_t>(size - sent), MSG_NOSIGNAL);
    if (n >= 0) {
      sent += n;
    } else if (errno == EAGAIN) {
      ASSAY_TRY(deadline.Wait(fd_, POLLOUT));
    } else if (errno != EINTR) {
      return Fail(OsError("send", "", errno));
    }
  }
  if (BIO_reset(out) != 1) return Fail(OpenSslError("TLS"));
  return {};
}

Result<> TlsStream::Fill(const Deadline& deadline) {
  std::array<std::uint8_t, 16384> buffer;
  while (true) {
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    if (n == 0) return Fail(StateError(ChannelError::kClosed, "the peer ended the connection"));
    if (n > 0) {
      received_ += static_cast<std::uint64_t>(n);
      if (BIO_write(SSL_get_rbio(ssl_.get()), buffer.data(), static_cast<int>(n)) != n)
        return Fail(OpenSslError("TLS"));
      return {};
    }
    if (errno == EAGAIN)
      ASSAY_TRY(deadline.Wait(fd_, POLLIN));
    else if (errno != EINTR)
      return Fail(OsError("recv", "", errno));
  }
}

Result<> TlsStream::Handshake(const Deadline& deadline) {
  BioPtr in(BIO_new(BIO_s_mem())), out(BIO_new(BIO_s_mem()));
  if (!in || !out) return Fail(OpenSslError("TLS"));
  BIO_set_mem_eof_return(in.get(), -1);  // an empty buffer means that more data may come, not the end
  SSL_set_bio(ssl_.get(), in.release(), out.release());
  while (true) {
    ERR_clear_error();
    const int n = SSL_do_handshake(ssl_.get());
    const int why = SSL_get_error(ssl_.get(), n);
    Result<> flushed = Flush(deadline);  // also sends an alert
    if (n == 1) {
      ASSAY_TRY(flushed);
      break;
    }
    if (why != SSL_ERROR_WANT_READ) {
      if (SSL_get_verify_result(ssl_.get()) == X509_V_ERR_CERT_REJECTED)
        return Fail(StateError(ChannelError::kWrongPeer, "the peer's certificate is not the pinned one"));
      return Fail(OpenSslError("TLS handshake"));
    }
    ASSAY_TRY(flushed);
    if (received_ > kMaxHandshake)
      return Fail(StateError(ChannelError::kHandshake, "the handshake is too large"));
    ASSAY_TRY(Fill(deadline));
  }
  const X509Ptr certificate(SSL_get1_peer_certificate(ssl_.get()));
  if (!certificate) return Fail(StateError(ChannelError::kNoCertificate, "the peer sent no certificate"));
  peer_ = CertificateFingerprint(certificate.get());
  exporter_.resize(32);
  if (SSL_export_keying_material(ssl_.get(), exporter_.data(), exporter_.size(), kExporterLabel.data(),
                                 kExporterLabel.size(), nullptr, 0, 0) != 1)
    return Fail(OpenSslError("TLS exporter"));
  open_ = true;
  return {};
}

Result<TlsStream> TlsStream::Accept(SSL_CTX* context, int fd, const Deadline& deadline) {
  TlsStream tls(SslPtr(SSL_new(context)), fd);
  if (!tls.ssl_) return Fail(OpenSslError("TLS"));
  SSL_set_accept_state(tls.ssl_.get());
  ASSAY_TRY(tls.Handshake(deadline));
  return tls;
}

Result<TlsStream> TlsStream::Connect(SSL_CTX* context, int fd, const Fingerprint& pinned,
                                     const Deadline& deadline) {
  TlsStream tls(SslPtr(SSL_new(context)), fd);
  if (!tls.ssl_ || SSL_set_ex_data(tls.ssl_.get(), PinIndex(), const_cast<Fingerprint*>(&pinned)) != 1)
    return Fail(OpenSslError("TLS"));
  SSL_set_connect_state(tls.ssl_.get());
  const Result<> done = tls.Handshake(deadline);
  // The pin belongs to the caller and is no longer needed.
  SSL_set_ex_data(tls.ssl_.get(), PinIndex(), nullptr);
  ASSAY_TRY(done);
  return tls;
}

Result<std::size_t> TlsStream::Read(std::span<std::uint8_t> out, const Deadline& deadline) {
  while (true) {
    ERR_clear_error();
    std::size_t got = 0;
    if (SSL_read_ex(ssl_.get(), out.data(), out.size(), &got) == 1) return got;
    const int why = SSL_get_error(ssl_.get(), 0);
    if (why == SSL_ERROR_ZERO_RETURN)
      return Fail(StateError(ChannelError::kClosed, "the peer ended the connection"));
    if (why != SSL_ERROR_WANT_READ) {
      open_ = false;
      return Fail(OpenSslError("TLS"));
    }
    ASSAY_TRY(Flush(deadline));
    // A peer that sends only records without content must not go on beyond its deadline.
    if (deadline.RemainingMs() == 0) return Fail(StateError(ChannelError::kTimeout, "the peer is too slow"));
    ASSAY_TRY(Fill(deadline));
  }
}

Result<> TlsStream::Write(ByteView data, Deadline& deadline) {
  constexpr std::size_t kPiece = 64 << 10;
  while (!data.empty()) {
    ERR_clear_error();
    const ByteView piece = data.first(std::min(data.size(), kPiece));
    std::size_t put = 0;
    if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &put) != 1) {
      open_ = false;
      return Fail(OpenSslError("TLS"));
    }
    ASSAY_TRY(Flush(deadline));
    deadline.Progress(put);
    data = data.subspan(put);
  }
  return {};
}

void TlsStream::Close(const Deadline& deadline) {
  constexpr std::chrono::milliseconds kLinger{500};
  if (!open_) return;
  open_ = false;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  // An error does not matter here: the peer has got its answer or is gone.
  if (Result<> told = Flush(deadline); !told) return;
  shutdown(fd_, SHUT_WR);
  // Closing a socket with unread bytes resets the connection, which discards the bytes that were written.
  const Deadline linger(kLinger);
  std::array<std::uint8_t, 4096> rest;
  while (linger.Wait(fd_, POLLIN)) {
    const ssize_t n = recv(fd_, rest.data(), rest.size(), 0);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return;
  }
}

}  // namespace assay::channel
