// Challenges over a Unix socket, for who is on the machine itself.
//
//   ASSAY_ASSIGN(auto server, UnixServer::Start({.path = "/run/assayd/challenge.sock"}, responder));
//
// Contract: root sees everything, others what their level says. Connections and times are bounded; a thread
// for each connection. Root's connections are counted apart from everybody else's, and of the latter one user
// has a share of a quarter. Where there is no room, the oldest connection that has said nothing for a second
// makes it; if there is none, the one too many is told "busy".
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "attest/responder.h"

namespace assay::attest {

struct UnixServerOptions {
  std::string path;
  evidence::Level level = evidence::Level::kQuote;  // for others than root
  unsigned max_connections = 32;                    // of root, and as many of others
  std::chrono::milliseconds timeout{30'000};
};

class UnixServer {
 public:
  static Result<std::unique_ptr<UnixServer>> Start(UnixServerOptions options, Responder& responder);
  ~UnixServer();  // cuts off who is being served

 private:
  struct Impl;
  explicit UnixServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
