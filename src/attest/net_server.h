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
  // listener: bound to the address of the options already; none: it is bound here.
  static Result<std::unique_ptr<NetServer>> Start(ServerOptions options, Responder& responder,
                                                  UniqueFd listener = UniqueFd());
  ~NetServer();
  int port() const;
  // For the questions that come from now on; connections go on.
  void SetAllow(std::map<Fingerprint, evidence::Level> allow);
  // The listening socket once more, for a server with another certificate at the same address.
  Result<UniqueFd> ShareListener() const;
  NetworkState State() const;

 private:
  struct Impl;
  explicit NetServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
