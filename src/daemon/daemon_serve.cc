// Challenges: the collector, and the server that is asked.
#include "base/log.h"
#include "channel/tls.h"
#include "daemon/daemon_impl.h"

namespace assay::daemon {

Result<attest::ServerOptions> Daemon::Impl::ServeOptions(const Config& from) const {
  attest::ServerOptions serve;
  if (from.serve_unix) serve.unix_path = from.run_dir + "/challenge.sock";
  serve.unix_level = from.unix_level;
  if (from.listen.empty()) return serve;
  ASSAY_ASSIGN(const ListenAddress address, ParseListen(from.listen));
  serve.listen_host = address.host;
  serve.listen_port = address.port == 0 ? -1 : address.port;
  ASSAY_TRY(CheckKeyFile(from.key));
  ASSAY_ASSIGN(Bytes certificate, ReadFile(from.certificate, 1 << 20));
  ASSAY_ASSIGN(Bytes key, ReadFile(from.key, 64 << 10));
  serve.certificate_pem = AsText(certificate);
  serve.key_pem = AsText(key);
  serve.allow = from.allow;
  ASSAY_TRY(channel::TlsServerContext({serve.certificate_pem, serve.key_pem}));
  return serve;
}

Result<> Daemon::Impl::StartServer() {
  attest::CollectorOptions options;
  options.engine = [this] { return EngineState(); };
  options.started_ms = started_ms;
  if (!kernel) options.run = [this](ByteView statement) { return SignForRun(statement); };
  if (kernel) options.kernel_policy = measure::KernelList::PolicyOptions();
  Result<std::unique_ptr<attest::Collector>> made =
      attest::Collector::Create(std::move(options), List(), *tpm, config.ak);
  {
    const MutexLock lock(mutex);
    keys_error = made ? std::nullopt : std::optional(made.error());
  }
  if (!made) return Fail(made.error());
  collector = std::move(*made);
  ASSAY_ASSIGN(attest::ServerOptions serve, ServeOptions(config));
  ASSAY_ASSIGN(std::unique_ptr<attest::Server> started_server,
               attest::Server::Start(std::move(serve), *collector));
  const MutexLock lock(mutex);
  server = std::move(started_server);
  return {};
}

}  // namespace assay::daemon
