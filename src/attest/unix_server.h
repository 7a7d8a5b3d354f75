// Challenges over a Unix socket, for verifiers on the machine itself.
//
//   // given: Responder& responder
//   ASSAY_ASSIGN(auto server, UnixServer::Start({.path = "/run/assayd/challenge.sock"}, responder));
//
// Contract: root sees everything, other users what their level allows. Connections and times are bounded;
// each connection has a thread. Root's connections are counted separately from those of other users, and one
// user may have a quarter of the latter. When all are taken, the oldest connection that has sent nothing for
// a second is closed for the new one; if there is none, the new connection is answered "busy".
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "attest/responder.h"
#include "base/fd.h"

namespace assay::attest {

struct UnixServerOptions {
  std::string path;
  evidence::Level level = evidence::Level::kQuote;  // for users other than root
  unsigned max_connections = 32;                    // of root, and as many of the other users
  std::chrono::milliseconds timeout{30'000};
};

class UnixServer {
 public:
  // listener: bound to the options' path already; none: it is bound here.
  static Result<std::unique_ptr<UnixServer>> Start(UnixServerOptions options, Responder& responder,
                                                   UniqueFd listener = UniqueFd());
  // The listening socket once more, for a server of another process: the path stays when this one ends.
  Result<UniqueFd> ShareListener();
  void SetLevel(evidence::Level level);  // for connections from now on
  ~UnixServer();  // closes the connections, after a second at most for questions that came

 private:
  struct Impl;
  explicit UnixServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
