// The two ways to challenge: mutual TLS 1.3, and a Unix socket. The server's network-facing part is a process
// of its own.
//
//   ASSAY_ASSIGN(auto server, Server::Start(options, collector));         // privileged; forks the network
//   process ASSAY_ASSIGN(Answer a, ChallengeTls({.host = "127.0.0.1", .port = 7443, ...}, challenge));
//   ASSAY_ASSIGN(Answer a, ChallengeUnix("/run/assayd/challenge.sock", challenge));
//
// Contract: the network process has an unprivileged uid, no capabilities, a seccomp filter and a Landlock
// domain without any file; it terminates TLS and frames, and asks the privileged process over a socket pair
// with small fixed messages (docs/formats/challenge.md, "Inside the attester"). Peers are known by the
// SHA-256 of their certificate. Connections, bytes and times are bounded. A relayed quote does not verify:
// the binding is the TLS exporter of the verifier's own connection.
#pragma once

#include <chrono>
#include <map>
#include <memory>

#include "attest/collector.h"
#include "attest/message.h"

namespace assay::attest {

std::string DefaultNetProgram();  // the network-facing program, beside the running executable

struct ServerOptions {
  std::string unix_path;             // empty: none. Peers: root -> full; others as unix_level says
  Level unix_level = Level::kQuote;  // for other uids that can reach the socket
  std::string listen_host = "127.0.0.1";
  int listen_port = 0;                   // 0: no TLS; -1: any free port (tests)
  std::string certificate_pem, key_pem;  // the attester's own
  std::map<std::string, Level> allow;    // hex SHA-256 of a verifier's certificate -> what it may see
  uid_t uid = 65534;                     // of the network process
  gid_t gid = 65534;
  std::string net_program = DefaultNetProgram();
  unsigned max_connections = 32;
  std::chrono::seconds timeout{30};
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Collector& collector);
  ~Server();  // ends the network process
  int port() const;
  pid_t network_pid() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TlsPeer {
  std::string host;
  int port = 0;
  std::string certificate_pem, key_pem;  // the verifier's own
  std::string pinned;                    // hex SHA-256 of the attester's certificate; required
  std::chrono::seconds timeout{60};
};
struct Answer {
  Evidence evidence;
  Binding binding;   // of the connection it came over, as this side saw it
  std::string peer;  // hex SHA-256 of the peer's certificate, or "unix"
};
Result<Answer> ChallengeTls(const TlsPeer& peer, const Challenge& challenge);
Result<Answer> ChallengeUnix(const std::string& path, const Challenge& challenge);

}  // namespace assay::attest
