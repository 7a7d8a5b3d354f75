// The attester's server for challenges, over mutual TLS 1.3 and over a Unix socket. Its network-facing part
// is a process of its own.
//
//   // given: const ServerOptions& options, Collector& collector
//   ASSAY_ASSIGN(std::unique_ptr<Server> server, Server::Start(options, collector));   // privileged
//   if (const auto network = server->Network()) log::Info("{} restarts", network->restarts);
//
// Contract: the network process has an unprivileged uid, no capabilities, a seccomp filter and a Landlock
// domain without any file; it terminates TLS, parses challenges, and asks the privileged process over socket
// pairs with small fixed messages (docs/formats/challenge.md, "Inside the attester"). If the network process
// dies it is restarted, at growing intervals, and Network() reports it. A peer is identified by the SHA-256
// of its certificate. Connections, bytes and times are bounded; a slow connection is closed when another one
// needs its place. A relayed quote does not verify, because the binding is the TLS exporter of the verifier's
// own connection.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "attest/collector.h"
#include "attest/responder.h"
#include "evidence/message.h"

namespace assay::attest {

std::string DefaultNetProgram();  // the network-facing program, beside the running executable

// Whether this address can be listened at now: OsError "os.bind".
Result<> TryListen(const std::string& host, int port);

struct ServerOptions {
  std::string unix_path;  // empty: no socket. Root sees everything, other users what unix_level says
  evidence::Level unix_level = evidence::Level::kQuote;  // for other uids that can reach the socket
  // An address, also "[::1]"; the interface may get it later.
  std::string listen_host = "127.0.0.1";
  int listen_port = 0;                           // 0: no TLS; -1: any free port (tests)
  std::string certificate_pem, key_pem;          // the attester's own
  std::map<Fingerprint, evidence::Level> allow;  // of a verifier's certificate -> what it may see
  uid_t uid = 65534;                             // of the network process
  gid_t gid = 65534;
  std::string net_program = DefaultNetProgram();
  unsigned max_connections = 32;
  std::chrono::seconds timeout{30};
};

// The state of the network process.
struct NetworkState {
  bool serving = false;            // it runs and has given up its rights
  pid_t pid = -1;                  // -1: none runs at present
  std::uint64_t restarts = 0;      // since Server::Start()
  std::string last_end;            // how the last network process ended; empty: none has ended yet
  std::uint32_t landlock_abi = 0;  // 0: the kernel has no Landlock, and only seccomp prevents access to files
};

// Listening sockets that serve on while one process takes the place of another: connections wait meanwhile.
struct Listeners {
  UniqueFd local, net;  // of the options' path and address; none: it is bound anew
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Collector& collector,
                                               Listeners listeners = {});
  // For the server of another process, when this one is about to end.
  Result<Listeners> ShareListeners();
  ~Server();  // ends the network process
  // Takes up other addresses, certificates, verifiers and levels. What stays the same goes on without a
  // break; connections end only if the address or the certificate changed. After an error all is as before.
  Result<> Change(ServerOptions options);
  QuoteState Quotes() const;
  std::vector<Caller> Callers() const;          // the last first
  int port() const;                             // 0: no TLS
  pid_t network_pid() const;                    // -1: no TLS, or the process is being restarted
  std::optional<NetworkState> Network() const;  // nullopt: no TLS

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
