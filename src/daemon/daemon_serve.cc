// Challenges: the collector, and the server that is asked.
#include "base/log.h"
#include "daemon/daemon_impl.h"

namespace assay::daemon {

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
    keys_error = made ? "" : made.error().Message();
  }
  if (!made) return Fail(made.error());
  collector = std::move(*made);
  attest::ServerOptions serve;
  if (config.serve_unix) serve.unix_path = config.run_dir + "/challenge.sock";
  serve.unix_level = config.unix_level;
  if (!config.listen.empty()) {
    const auto colon = config.listen.rfind(':');
    if (colon == std::string::npos) return Fail(UsageError("serve/listen: not HOST:PORT: " + config.listen));
    serve.listen_host = config.listen.substr(0, colon);
    const int port = std::atoi(config.listen.c_str() + colon + 1);
    if (port < 0 || port > 65535) return Fail(UsageError("serve/listen: not a port: " + config.listen));
    serve.listen_port = port == 0 ? -1 : port;
    ASSAY_ASSIGN(Bytes certificate, ReadFile(config.certificate, 1 << 20));
    ASSAY_ASSIGN(Bytes key, ReadFile(config.key, 64 << 10));
    serve.certificate_pem = AsText(certificate);
    serve.key_pem = AsText(key);
    serve.allow = config.allow;
  }
  ASSAY_ASSIGN(std::unique_ptr<attest::Server> started_server,
               attest::Server::Start(std::move(serve), *collector));
  const MutexLock lock(mutex);
  server = std::move(started_server);
  return {};
}

}  // namespace assay::daemon
