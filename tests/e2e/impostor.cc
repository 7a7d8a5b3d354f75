// For tests: what root may run in the attester's place. It goes on with the list, the PCR and the AK that the
// attester left, and answers challenges.
//
//   impostor LIST-FOLDER TCTI unix:SOCKET|tls:ASSAYD.JSON [--run-key] [--forge ASSAYD] [--known FILE...]
//
// --run-key: it signs with a key of a run of its own. --forge: the list is one of a boot that never was, with
// an attester that was started in the initramfs.
#include <signal.h>

#include <nlohmann/json.hpp>

#include "attest/collector.h"
#include "attest/server.h"
#include "base/clock.h"
#include "base/command_line.h"
#include "base/fd.h"
#include "daemon/config.h"
#include "measure/choice/engines.h"
#include "measure/engine/measure_file.h"
#include "measure/record/recorder.h"
#include "tpm/run_key.h"

namespace assay {
namespace {

using nlohmann::json;

struct Options {
  std::string folder, tcti, serve, forge;
  std::vector<std::string> known;
  bool run_key = false;
};

measure::Context Shell() {
  return {.time_ms = NowMs(), .pid = 4242, .uid = 0, .comm = "bash", .hook = "exec"};
}

Result<> Forge(const Options& o, measure::Recorder& recorder, const tpm::RunKey* key) {
  const auto own = [&](const char* name, const json& content) -> Result<> {
    ASSAY_TRY(recorder.RecordBuffer(name, AsBytes(content.dump()), {}));
    return {};
  };
  json start = {{"version", ASSAY_VERSION}, {"pid", 312},      {"boot_id", "b"},
                {"uptime_ms", 900},         {"scope", "host"}, {"tasks_before", 0},
                {"initramfs", true},        {"run", 1},        {"executable", o.forge},
                {"components", {o.forge}}};
  if (key != nullptr) start["run_key"] = Hex(key->public_area());
  ASSAY_TRY(own("assay-start", start));
  ASSAY_TRY(measure::MeasurePath(o.forge, {}, recorder));
  ASSAY_TRY(own("assay-policy", {{"engine", json::object()}, {"record", json::object()}}));
  return own("assay-engine",
             {{"engine", "lsm"}, {"mounts", {"/"}}, {"passed_over", json::object()}, {"scope", "host"}});
}

Result<attest::ServerOptions> Serving(const std::string& where) {
  attest::ServerOptions s;
  if (where.starts_with("unix:")) {
    s.unix_path = where.substr(5);
    return s;
  }
  ASSAY_ASSIGN(const daemon::Config config, daemon::ReadConfig(where.substr(4)));
  const auto colon = config.listen.rfind(':');
  s.listen_host = config.listen.substr(0, colon);
  s.listen_port = std::atoi(config.listen.c_str() + colon + 1);
  ASSAY_ASSIGN(const Bytes certificate, ReadFile(config.certificate, 1 << 20));
  ASSAY_ASSIGN(const Bytes key, ReadFile(config.key, 64 << 10));
  s.certificate_pem = AsText(certificate);
  s.key_pem = AsText(key);
  s.allow = config.allow;
  s.net_program = "/usr/sbin/assay-net";
  return s;
}

Result<> Run(const Options& o) {
  ASSAY_ASSIGN(const std::unique_ptr<tpm::Tpm> tpm, tpm::Tpm::Connect(o.tcti));
  measure::RecorderOptions options;
  options.dir = o.folder;
  ASSAY_ASSIGN(const std::unique_ptr<measure::Recorder> recorder, measure::Recorder::Open(options, *tpm));
  std::unique_ptr<tpm::RunKey> key;
  if (o.run_key) {
    ASSAY_ASSIGN(key, tpm::RunKey::Create(*tpm));
  }
  if (!o.forge.empty()) ASSAY_TRY(Forge(o, *recorder, key.get()));
  for (const std::string& file : o.known) ASSAY_TRY(measure::MeasurePath(file, Shell(), *recorder));
  attest::CollectorOptions collect;
  const std::string engine = o.forge.empty() && o.serve.starts_with("unix:") ? "fanotify" : "lsm";
  collect.engine = [engine] { return std::pair<std::string, std::string>(engine, "ok"); };
  if (key) collect.run = [&key](ByteView statement) { return key->Sign(statement); };
  ASSAY_ASSIGN(const std::unique_ptr<attest::Collector> collector,
               attest::Collector::Create(std::move(collect), *recorder, *tpm, tpm::AkKind::kEccP256));
  ASSAY_ASSIGN(attest::ServerOptions serve, Serving(o.serve));
  ASSAY_ASSIGN(const std::unique_ptr<attest::Server> server,
               attest::Server::Start(std::move(serve), *collector));
  std::puts("impostor: answers");
  std::fflush(stdout);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  int which = 0;
  sigwait(&stop, &which);
  return {};
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  using namespace assay;
  signal(SIGPIPE, SIG_IGN);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  CommandLine line("");
  Command app = line.root();
  Options o;
  app.AddOption("folder", o.folder).Required();
  app.AddOption("tcti", o.tcti).Required();
  app.AddOption("serve", o.serve).Required();
  app.AddOption("--forge", o.forge);
  app.AddOption("--known", o.known);
  app.AddFlag("--run-key", o.run_key);
  if (const std::optional<int> code = line.ParseOrSay(argc, argv)) return *code;
  if (const Result<> r = Run(o); !r) {
    std::fprintf(stderr, "impostor: %s (%s)\n", r.error().Message().c_str(), r.error().code().c_str());
    return 1;
  }
  return 0;
}
