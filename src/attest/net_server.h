// The privileged side of challenges over TLS: it starts the network process, watches it, and answers its
// requests.
//
//   // given: const ServerOptions& options, Responder& responder
//   ASSAY_ASSIGN(std::unique_ptr<NetServer> net, NetServer::Start(options, responder));   // when it serves
//   log::Info("port {}", net->port());
//
// Contract: messages of the network process are treated as an attacker's. The server kills the process after
// a malformed packet and starts a new one, first after 0.1 s and later after up to 10 s. The server looks up
// the level itself, and refuses a fingerprint that is not allowed ("forbidden") before it calls the
// collector.
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
