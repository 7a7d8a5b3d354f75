#include "daemon/check.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "attest/server.h"
#include "base/fd.h"
#include "daemon/config.h"
#include "daemon/errors.h"
#include "daemon/inputs.h"
#include "daemon/run_folder.h"
#include "measure/choice/engines.h"
#include "measure/record/errors.h"
#include "measure/record/kernel_ima.h"
#include "tpm/tpm.h"

namespace assay::daemon {
namespace {

class Check {
 public:
  explicit Check(const Config& config) : config_(config), running_(Runs()) {}
  std::vector<Error> Run() {
    Try(Log());
    Try(Writable(config_.state_dir, "state_dir"));
    Try(Writable(config_.run_dir, "run_dir"));
    Try(Tpm());
    Try(Pcr());
    Try(Manifest());
    Try(Serve());
    Try(Engine());
    return std::move(problems_);
  }

 private:
  void Try(const Result<>& r) {
    if (!r) problems_.push_back(r.error());
  }
  bool Runs() const {
    const UniqueFd lock(open((ListFolder(config_.run_dir) + "/lock").c_str(), O_RDWR | O_CLOEXEC));
    return lock && flock(lock.get(), LOCK_EX | LOCK_NB) != 0;
  }
  static Result<> Writable(const std::string& path, const std::string& member);
  Result<> Log() const;
  Result<> Tpm() const;
  Result<> Pcr() const;
  Result<> Manifest() const;
  Result<> Serve() const;
  Result<> Engine() const;

  const Config& config_;
  bool running_;
  std::vector<Error> problems_;
};

// Checks that the folder, or the part of its path that exists, can be written.
Result<> Check::Writable(const std::string& path, const std::string& member) {
  std::string there = path;
  struct stat st{};
  while (stat(there.c_str(), &st) != 0 && errno == ENOENT && there.rfind('/') != std::string::npos &&
         there.size() > 1)
    there = there.rfind('/') == 0 ? "/" : there.substr(0, there.rfind('/'));
  if (stat(there.c_str(), &st) != 0) return Fail(Error(OsError("stat", there, errno)).In(member));
  if (!S_ISDIR(st.st_mode)) return Fail(Error(OsError("mkdir", path, ENOTDIR)).In(member));
  if (access(there.c_str(), W_OK) != 0) return Fail(Error(OsError("access", there, errno)).In(member));
  return {};
}

Result<> Check::Log() const {
  const std::string& file = config_.log.file;
  if (file.empty()) return {};
  const UniqueFd fd(open(file.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd || errno == ENXIO) return {};  // ENXIO: a FIFO that has no reader yet
  if (errno != ENOENT) return Fail(Error(OsError("open", file, errno)).In("log/file"));
  const std::size_t slash = file.rfind('/');
  return Writable(slash == std::string::npos ? "." : slash == 0 ? "/" : file.substr(0, slash), "log/file");
}

Result<> HaveProgram(const std::string& name) {
  const char* path = getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/sbin:/usr/bin";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    if (access((std::string(rest.substr(0, colon)) + "/" + name).c_str(), X_OK) == 0) return {};
    rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  }
  return Fail(Error(OsError("exec", name, ENOENT)).In("tpm/tcti embedded"));
}

Result<> Check::Tpm() const {
  if (const auto passwords = ReadPasswords(config_); !passwords) return Fail(passwords.error().In("tpm"));
  if (config_.tcti == "embedded") {
    ASSAY_TRY(HaveProgram("swtpm"));
    return HaveProgram("swtpm_setup");
  }
  if (running_ && config_.tcti.starts_with("swtpm")) return {};  // it talks to one process only
  const Result<tpm::TpmInfo> info = tpm::Tpm::Look(config_.tcti);
  if (info) return {};
  // A TPM that was not started yet answers with TPM_RC_INITIALIZE; a start of the attester starts it.
  constexpr std::uint32_t kNotStarted = 0x100;
  const auto* refused = info.error().As<tpm::TpmError>();
  if (refused != nullptr && refused->rc == kNotStarted) return {};
  return Fail(info.error().In("tpm/tcti"));
}

// A PCR has one recorder.
Result<> Check::Pcr() const {
  if (running_ || config_.tcti == "embedded" || config_.engine.name == kKernelIma) return {};
  if (config_.pcr != measure::kKernelImaPcr || measure::KernelImaRecords() <= 1) return {};
  const Error taken = StateError(measure::RecorderError::kKernelIma,
                                 "the kernel's own IMA records in PCR " + std::to_string(config_.pcr));
  return Fail(taken.In("record/pcr"));
}

Result<> Check::Manifest() const {
  const Result<daemon::Manifest> opened = OpenManifest(config_);
  if (!opened) return Fail(opened.error().In("manifest"));
  return {};
}

Result<> Check::Serve() const {
  if (config_.listen.empty()) return {};
  const auto serve = [&]() -> Result<> {
    ASSAY_TRY(ServeOptions(config_));
    if (access(attest::DefaultNetProgram().c_str(), X_OK) != 0)
      return Fail(OsError("exec", attest::DefaultNetProgram(), errno));
    ASSAY_ASSIGN(const ListenAddress address, ParseListen(config_.listen));
    Result<> bound = attest::TryListen(address.host, address.port);
    const OsError* os = bound ? nullptr : bound.error().As<OsError>();
    if (running_ && os != nullptr && os->err == EADDRINUSE) return {};  // most likely by that attester
    return bound;
  };
  const Result<> can = serve();
  if (!can) return Fail(can.error().In("serve"));
  return {};
}

Result<> Check::Engine() const {
  if (running_ || config_.scope == Scope::kNone || config_.engine.name == kKernelIma) return {};
  Result<> last;
  for (const measure::EngineEntry& entry : measure::Engines()) {
    const bool fits = config_.scope == Scope::kHost || entry.name == "fanotify";
    if (!fits || (!config_.engine.name.empty() && config_.engine.name != entry.name)) continue;
    if (measure::NeedsLsm(config_.engine) && !entry.guards) continue;
    last = entry.probe();
    if (last) return {};
  }
  if (!last) return Fail(last.error().In("engine"));
  return {};
}

}  // namespace

std::vector<Error> CheckStart(const std::string& config_path) {
  const Result<Config> config = ReadConfig(config_path);
  if (!config) return {config.error()};
  if (geteuid() != 0)
    return {StateError(
        DaemonError::kNotRoot,
        "the configuration can be read; TPM, keys, addresses and engine can only be tried as root")};
  return Check(*config).Run();
}

}  // namespace assay::daemon
