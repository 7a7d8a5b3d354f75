// The two ways to challenge an attester: mutual TLS 1.3, and a Unix socket.
//
//   ASSAY_ASSIGN(Answer a, ChallengeTls({.host = "127.0.0.1", .port = 7443, ...}, challenge));
//   ASSAY_ASSIGN(Answer a, ChallengeUnix("/run/assayd/challenge.sock", challenge));
//
// Contract: peers are known by the SHA-256 of their certificate. A relayed quote does not verify: the binding
// is the TLS exporter of this side's own connection. Bytes and times are bounded. What the attester refuses
// is a RefusedError.
#pragma once

#include <chrono>
#include <string>

#include "base/fingerprint.h"
#include "base/result.h"
#include "evidence/message.h"

namespace assay::channel {

struct RefusedError : ErrorInfo {
  RefusedError(std::string reason_in, std::string message_in)
      : reason(std::move(reason_in)), message(std::move(message_in)) {}
  std::string reason;   // "forbidden", "degraded", ... (message.h)
  std::string message;  // the attester's sentence
  std::string code() const override { return "attest.refused"; }
  std::string Message() const override { return "the attester refuses (" + reason + "): " + message; }
};

struct TlsPeer {
  std::string host;
  int port = 0;
  std::string certificate_pem, key_pem;  // the verifier's own
  Fingerprint pinned;                    // of the attester's certificate
  std::chrono::seconds timeout{60};
};
struct Answer {
  evidence::Evidence evidence;
  evidence::Binding binding;  // of the connection it came over, as this side saw it
  std::string peer;           // the fingerprint of its certificate, or "unix"
};
Result<Answer> ChallengeTls(const TlsPeer& peer, const evidence::Challenge& challenge);
Result<Answer> ChallengeUnix(const std::string& path, const evidence::Challenge& challenge);

// Who the attester's TPM is, and whether it proved that the AK is its own (attest/enrol.h). Two connections.
struct EnrolAnswer {
  evidence::Identity identity;
  bool proven = false;
  std::string why;   // not proven
  std::string peer;  // as in Answer
};
Result<EnrolAnswer> EnrolTls(const TlsPeer& peer);
Result<EnrolAnswer> EnrolUnix(const std::string& path);

}  // namespace assay::channel
