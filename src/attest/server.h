// The two ways to challenge: mutual TLS 1.3, and a Unix socket. The server's network-facing part is a process
// of its own.
//
//   ASSAY_ASSIGN(auto server, Server::Start(options, collector));     // privileged; starts the network
//   process ASSAY_ASSIGN(Answer a, ChallengeTls({.host = "127.0.0.1", .port = 7443, ...}, challenge));
//   ASSAY_ASSIGN(Answer a, ChallengeUnix("/run/assayd/challenge.sock", challenge));
//
// Contract: the network process has an unprivileged uid, no capabilities, a seccomp filter and a Landlock
// domain without any file; it terminates TLS, takes challenges apart, and asks the privileged process over
// socket pairs with small fixed messages (docs/formats/challenge.md, "Inside the attester"). If it dies it is
// started anew, at growing intervals, and Network() says so. Peers are known by the SHA-256 of their
// certificate. Connections, bytes and times are bounded, and a slow one makes room for others. A relayed
// quote does not verify: the binding is the TLS exporter of the verifier's own connection. What the attester
// refuses is a RefusedError with its code.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "attest/collector.h"
#include "evidence/message.h"

namespace assay::attest {

std::string DefaultNetProgram();  // the network-facing program, beside the running executable

struct ServerOptions {
  std::string unix_path;  // empty: none. Peers: root -> full; others as unix_level says
  evidence::Level unix_level = evidence::Level::kQuote;  // for other uids that can reach the socket
  std::string listen_host = "127.0.0.1";                 // an address, "[::1]" too; it need not be there yet
  int listen_port = 0;                                   // 0: no TLS; -1: any free port (tests)
  std::string certificate_pem, key_pem;                  // the attester's own
  std::map<Fingerprint, evidence::Level> allow;          // of a verifier's certificate -> what it may see
  uid_t uid = 65534;                                     // of the network process
  gid_t gid = 65534;
  std::string net_program = DefaultNetProgram();
  unsigned max_connections = 32;
  std::chrono::seconds timeout{30};
};

// How the network process is doing.
struct NetworkState {
  bool serving = false;            // it is there and has given up its rights
  pid_t pid = -1;                  // -1: there is none at present
  std::uint64_t restarts = 0;      // since Server::Start()
  std::string last_end;            // how the last one ended; empty: none has
  std::uint32_t landlock_abi = 0;  // 0: this kernel has no Landlock, and seccomp alone keeps files away
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Collector& collector);
  ~Server();                                    // ends the network process
  int port() const;                             // 0: no TLS
  pid_t network_pid() const;                    // -1: no TLS, or it is being started anew
  std::optional<NetworkState> Network() const;  // nullopt: no TLS

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
