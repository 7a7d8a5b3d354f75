// The two ways to challenge an attester: mutual TLS 1.3, and a Unix socket.
//
//   // given: const TlsPeer& peer, const evidence::Challenge& challenge
//   ASSAY_ASSIGN(Answer by_tls, ChallengeTls(peer, challenge));
//   ASSAY_ASSIGN(Answer by_socket, ChallengeUnix("/run/assayd/challenge.sock", challenge));
//
// Contract: a peer is identified by the SHA-256 of its certificate. A relayed quote does not verify, because
// the binding is the TLS exporter of this side's own connection. Bytes and times are bounded. When the
// attester refuses, the error is a RefusedError with its reason.
#pragma once

#include <chrono>
#include <string>

#include "base/fingerprint.h"
#include "base/result.h"
#include "channel/errors.h"
#include "evidence/message.h"

namespace assay::channel {

struct RefusedError : ErrorInfo {
  RefusedError(evidence::RefusalCode reason_in, std::string message_in)
      : reason(reason_in), message(std::move(message_in)) {}
  evidence::RefusalCode reason;
  std::string message;  // the attester's sentence
  std::string code() const override { return std::string(id()->name()); }
  std::string Message() const override {
    return "the attester refuses (" + std::string(ErrorCode::Of(reason).name()) + "): " + message;
  }
  std::optional<ErrorCode> id() const override { return ErrorCode(ChannelError::kRefused); }
};

inline constexpr std::chrono::seconds kPatience{60};  // for an answer

struct TlsPeer {
  std::string host;
  int port = 0;
  std::string certificate_pem, key_pem;  // the verifier's own
  Fingerprint pinned;                    // of the attester's certificate
  std::chrono::seconds timeout = kPatience;
};
struct Answer {
  evidence::Evidence evidence;
  evidence::Binding binding;  // of the connection that it came over, calculated on this side
  std::string peer;           // hex SHA-256 of the peer's certificate, or "unix"
};
Result<Answer> ChallengeTls(const TlsPeer& peer, const evidence::Challenge& challenge);
Result<Answer> ChallengeUnix(const std::string& path, const evidence::Challenge& challenge,
                             std::chrono::seconds timeout = kPatience);

// The identity of the attester's TPM, and whether the TPM proved that the AK is its own (evidence/enrol.h).
// Takes two connections, and a third one with an attester of before device identities were known.
struct EnrolAnswer {
  evidence::Identity identity;
  evidence::Activation activation;
  Bytes device_qualifying;  // evidence::DeviceQualifying() of the second connection
  bool proven = false;
  std::string why;   // it is not proven
  std::string peer;  // as in Answer
};
Result<EnrolAnswer> EnrolTls(const TlsPeer& peer);
Result<EnrolAnswer> EnrolUnix(const std::string& path, std::chrono::seconds timeout = kPatience);

}  // namespace assay::channel
