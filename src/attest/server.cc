#include "attest/server.h"

#include <unistd.h>

#include <cerrno>

#include "attest/net_server.h"
#include "attest/unix_server.h"
#include "base/mutex.h"

namespace assay::attest {

std::string DefaultNetProgram() {
  char exe[4096];
  const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));
  const std::string self = n > 0 ? std::string(exe, static_cast<std::size_t>(n)) : "/usr/sbin/assayd";
  return self.substr(0, self.rfind('/')) + "/assay-net";
}

struct Server::Impl {
  explicit Impl(Collector& collector) : responder(collector) {}
  Result<std::unique_ptr<UnixServer>> StartLocal(const ServerOptions& o, UniqueFd listener = UniqueFd());
  Result<> ChangeNet(const ServerOptions& next);
  // The server that `status` looks at while another one takes its place.
  std::shared_ptr<NetServer> Net() const {
    const MutexLock lock(mutex);
    return net;
  }
  Responder responder;
  ServerOptions options;
  mutable Mutex mutex;
  std::shared_ptr<NetServer> net ASSAY_GUARDED_BY(mutex);
  std::unique_ptr<UnixServer> local;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

int Server::port() const {
  const auto net = impl_->Net();
  return net ? net->port() : 0;
}
pid_t Server::network_pid() const {
  const auto net = impl_->Net();
  return net ? net->State().pid : -1;
}
std::optional<NetworkState> Server::Network() const {
  const auto net = impl_->Net();
  if (!net) return std::nullopt;
  return net->State();
}

QuoteState Server::Quotes() const { return impl_->responder.Quotes(); }
std::vector<Caller> Server::Callers() const { return impl_->responder.callers().All(); }

namespace {

bool SameAddress(const ServerOptions& a, const ServerOptions& b) {
  return a.listen_host == b.listen_host && a.listen_port == b.listen_port;
}

bool SameIdentity(const ServerOptions& a, const ServerOptions& b) {
  return a.certificate_pem == b.certificate_pem && a.key_pem == b.key_pem;
}

}  // namespace

Result<std::unique_ptr<UnixServer>> Server::Impl::StartLocal(const ServerOptions& o, UniqueFd listener) {
  return UnixServer::Start({.path = o.unix_path,
                            .level = o.unix_level,
                            .max_connections = o.max_connections,
                            .timeout = o.timeout},
                           responder, std::move(listener));
}

// The network part of a change; the new server serves before the old one ends. If the new address overlaps
// with the old one (127.0.0.1 and 0.0.0.0), the old server has to end first.
Result<> Server::Impl::ChangeNet(const ServerOptions& next) {
  std::shared_ptr<NetServer> former = Net();
  const auto replace = [&](std::shared_ptr<NetServer> by) {
    {
      const MutexLock lock(mutex);
      net = std::move(by);
    }
    former.reset();  // ends its process
  };
  if (next.listen_port == 0) {
    replace(nullptr);
    return {};
  }
  const bool same_address = former && SameAddress(options, next);
  if (same_address && SameIdentity(options, next)) {
    former->SetAllow(next.allow);
    return {};
  }
  UniqueFd listener;
  if (same_address) {
    ASSAY_ASSIGN(listener, former->ShareListener());
  }
  Result<std::unique_ptr<NetServer>> started = NetServer::Start(next, responder, std::move(listener));
  const OsError* os = started ? nullptr : started.error().As<OsError>();
  if (former && os != nullptr && os->err == EADDRINUSE) {
    replace(nullptr);
    started = NetServer::Start(next, responder);
    if (!started) {
      Result<std::unique_ptr<NetServer>> again = NetServer::Start(options, responder);
      if (again) replace(std::move(*again));
    }
  }
  if (!started) return Fail(started.error());
  replace(std::move(*started));
  return {};
}

Result<> Server::Change(ServerOptions next) {
  Impl& d = *impl_;
  std::unique_ptr<UnixServer> local;
  const bool same_local = next.unix_path == d.options.unix_path;
  if (!same_local && !next.unix_path.empty()) {
    ASSAY_ASSIGN(local, d.StartLocal(next));
  }
  ASSAY_TRY(d.ChangeNet(next));
  if (!same_local)
    d.local = std::move(local);
  else if (d.local)
    d.local->SetLevel(next.unix_level);
  d.options = std::move(next);
  return {};
}

Result<Listeners> Server::ShareListeners() {
  Listeners shared;
  if (impl_->local) {
    ASSAY_ASSIGN(shared.local, impl_->local->ShareListener());
  }
  if (const auto net = impl_->Net()) {
    ASSAY_ASSIGN(shared.net, net->ShareListener());
  }
  return shared;
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Collector& collector,
                                              Listeners listeners) {
  auto impl = std::make_unique<Impl>(collector);
  if (!options.unix_path.empty()) {
    ASSAY_ASSIGN(impl->local, impl->StartLocal(options, std::move(listeners.local)));
  }
  if (options.listen_port != 0) {
    ASSAY_ASSIGN(std::unique_ptr<NetServer> started,
                 NetServer::Start(options, impl->responder, std::move(listeners.net)));
    const MutexLock lock(impl->mutex);
    impl->net = std::move(started);
  }
  impl->options = std::move(options);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

}  // namespace assay::attest
