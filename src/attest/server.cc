#include "attest/server.h"

#include <unistd.h>

#include "attest/net_server.h"
#include "attest/unix_server.h"

namespace assay::attest {

std::string DefaultNetProgram() {
  char exe[4096];
  const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
  const std::string self = n > 0 ? std::string(exe, static_cast<std::size_t>(n)) : "/usr/sbin/assayd";
  return self.substr(0, self.rfind('/')) + "/assay-net";
}

struct Server::Impl {
  explicit Impl(Collector& collector) : responder(collector) {}
  Responder responder;
  std::unique_ptr<NetServer> net;
  std::unique_ptr<UnixServer> local;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

int Server::port() const { return impl_->net ? impl_->net->port() : 0; }
pid_t Server::network_pid() const { return impl_->net ? impl_->net->State().pid : -1; }
std::optional<NetworkState> Server::Network() const {
  if (!impl_->net) return std::nullopt;
  return impl_->net->State();
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Collector& collector) {
  auto impl = std::make_unique<Impl>(collector);
  if (!options.unix_path.empty()) {
    ASSAY_ASSIGN(impl->local, UnixServer::Start({.path = options.unix_path,
                                                 .level = options.unix_level,
                                                 .max_connections = options.max_connections,
                                                 .timeout = options.timeout},
                                                impl->responder));
  }
  if (options.listen_port != 0) {
    ASSAY_ASSIGN(impl->net, NetServer::Start(std::move(options), impl->responder));
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

}  // namespace assay::attest
