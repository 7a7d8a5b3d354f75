// The privileged side of challenges over TLS: it starts the network process, watches it, and answers what it
// asks.
//
//   ASSAY_ASSIGN(auto net, NetServer::Start(options, responder));      // returns when the process serves
//
// Contract: what the network process sends is taken for an attacker's. A packet that is not as it must be
// ends that process; a new one is started, after 0.1 s at first and up to 10 s later. The level is looked up
// here, and a fingerprint that is not allowed is refused ("forbidden") before the collector hears of it.
#pragma once

#include <memory>

#include "attest/responder.h"
#include "attest/server.h"

namespace assay::attest {

class NetServer {
 public:
  static Result<std::unique_ptr<NetServer>> Start(ServerOptions options, Responder& responder);
  ~NetServer();
  int port() const;
  NetworkState State() const;

 private:
  struct Impl;
  explicit NetServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
