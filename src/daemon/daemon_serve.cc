// Challenges: the collector, and the server that is asked.
#include "daemon/daemon_impl.h"
#include "daemon/inputs.h"

namespace assay::daemon {

Result<> Daemon::Impl::StartServer(attest::Listeners listeners) {
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
               attest::Server::Start(std::move(serve), *collector, std::move(listeners)));
  const MutexLock lock(mutex);
  server = std::move(started_server);
  return {};
}

}  // namespace assay::daemon
