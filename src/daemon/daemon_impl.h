// Internal: the attester's parts, as the files of Daemon::Impl share them: daemon.cc (start, supervision and
// stop), daemon_records.cc (the list's own records), daemon_engine.cc, daemon_serve.cc, daemon_reload.cc,
// daemon_status.cc and daemon_handover.cc.
//
//   #include "daemon/daemon_impl.h"
//
// Contract: the members stand in the order of their start; Stop() ends them in reverse. What several threads
// use is guarded by `mutex`; the rest is set before `started` and by the thread of Run() only.
#pragma once

#include <sys/signalfd.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "attest/collector.h"
#include "attest/server.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "daemon/daemon.h"
#include "daemon/handover_leave.h"
#include "daemon/run_folder.h"
#include "measure/choice/engines.h"
#include "measure/lists/kernel_list.h"
#include "measure/node/fs.h"
#include "measure/record/recorder.h"
#include "measure/system/namespace.h"
#include "reference/index.h"
#include "tpm/run_key.h"
#include "tpm/software_tpm.h"
#include "tpm/tpm.h"

namespace assay::daemon {

measure::Context OwnContext();  // of records that the attester itself makes
std::string FirstLine(const std::string& path);

struct Daemon::Impl {
  Config config;  // as it takes effect
  // As the start read it: what needs a restart is compared with it. It never changes.
  Config started_config;
  std::string config_path;
  struct ConfigState {
    std::uint64_t loaded_ms = NowMs(), refused_ms = 0;
    std::uint64_t loads = 0, refusals = 0;  // by SIGHUP
    std::string error, code;                // of the last reload; empty: it took effect
    std::vector<std::string> needs_restart;
  };
  ConfigState config_state ASSAY_GUARDED_BY(mutex);
  std::string program;         // where this program lay at its start: its successor's path
  std::optional<Early> early;  // has a value until the machine has its real root
  std::atomic<bool> in_initramfs{false};
  std::uint64_t started_ms = NowMs();
  RunFolder folder;
  std::optional<tpm::SoftwareTpm> software;
  std::unique_ptr<tpm::Tpm> tpm;
  // Null: none could be made, or the kernel records.
  std::shared_ptr<tpm::RunKey> run_key ASSAY_GUARDED_BY(mutex);
  tpm::TpmInfo tpm_info;
  std::unique_ptr<reference::Index> manifest;
  nlohmann::json manifest_record;               // the manifest and the key that signed it
  std::unique_ptr<measure::Recorder> recorder;  // null: the kernel records
  std::unique_ptr<measure::KernelList> kernel;
  std::string kernel_trouble;  // what the log has of its last Sync()
  std::unique_ptr<measure::OwnNamespace> own_namespace;
  pid_t predecessor = 0;                          // the attester that this one takes over from
  Mutex load_mutex ASSAY_ACQUIRED_BEFORE(mutex);  // one policy at a time
  mutable Mutex mutex;  // of `config`, too, where the thread of Run() changes it and others read it
  // Why challenges are not answered: EK or AK. None: they are there, or not asked for yet.
  std::optional<Error> keys_error ASSAY_GUARDED_BY(mutex);
  std::shared_ptr<measure::Engine> engine ASSAY_GUARDED_BY(mutex);
  std::string refusals ASSAY_GUARDED_BY(mutex);  // JSON lines, up to kMaxRefusals
  std::unique_ptr<attest::Collector> collector;
  std::unique_ptr<attest::Server> server ASSAY_GUARDED_BY(mutex);
  std::unique_ptr<measure::Fs> fs;
  // Why there is no server; it is tried again each second, and an error is logged once.
  std::optional<Error> server_error ASSAY_GUARDED_BY(mutex);
  bool logs_to_kernel = false;  // since the initramfs
  bool run_recorded = false;    // assay-start of this run is recorded
  std::atomic<bool> started{false}, tpm_gone{false};
  std::atomic<std::uint64_t> recoveries{0}, refusals_lost{0};
  std::vector<UniqueFd> handed_over;  // descriptors for the successor
  bool left = false;  // a successor has the list and the software TPM, or this one has not taken over yet
  nlohmann::json engine_record;                             // the last one
  bool policy_loaded ASSAY_GUARDED_BY(load_mutex) = false;  // since the start, through /run/assay/policy
  bool handing_over ASSAY_GUARDED_BY(load_mutex) = false;   // no policy is loaded meanwhile
  struct {
    std::uint64_t number = 0, refused = 0, last_ms = 0, waited_ms = 0;
    std::string error, code;  // of the last attempt, if it was refused
  } handover ASSAY_GUARDED_BY(mutex);

  Result<std::string> TctiOfTpm();
  Result<> StartTpm();
  void AskWhoTheTpmIs();
  Result<> MakeRunKey();
  Result<Bytes> SignForRun(ByteView statement) const;
  void RenewRunKey();
  Result<> TakeManifest();
  Result<> OpenRecorder();
  Result<> OpenKernelList();
  measure::ListSource& List() const {
    return kernel ? static_cast<measure::ListSource&>(*kernel) : *recorder;
  }
  measure::RecorderOptions OptionsOfRecorder() const;
  Result<> RecordSelf();
  Result<> RecordStart(std::set<std::string>& components);
  Result<> StartEngine();
  Result<> RunEngine(const measure::EngineOptions& options);
  // Whether a digest is in the manifest; empty without a manifest.
  std::function<bool(const Digest&)> Known() const {
    if (!manifest) return {};
    return [index = manifest.get()](const Digest& digest) { return index->Contains(digest); };
  }
  measure::EngineOptions OptionsOfEngine();
  Result<measure::EngineChoice> NewEngine(const measure::EngineOptions& options);
  Result<> LoadPolicy(std::string_view text);
  void NoteRefusal(const measure::Refusal& refusal);
  measure::NodeVerdict JudgeShown(const measure::Shown& shown) const;
  std::shared_ptr<measure::Engine> Engine() const {
    const MutexLock lock(mutex);
    return engine;
  }
  Result<> MeasureRunning();
  bool Serves() const {
    const MutexLock lock(mutex);
    return server != nullptr;
  }
  Result<> StartServer(attest::Listeners listeners = {});
  void TakeServe(const Config& from) ASSAY_REQUIRES(mutex);
  log::Options LogOptions(const Config& from) const;
  Result<> Reload();
  Result<> TakeUp(const Config& next);
  Result<> StartFs();
  Result<> FollowRoot();
  Result<> RecordJson(const std::string& name, const nlohmann::json& content);
  std::pair<std::string, std::string> EngineState() const;
  Result<> EngineHealth() const;
  struct Problems;
  Problems FindProblems() const;
  nlohmann::json ChallengeStatus() const;
  nlohmann::json ConfigurationStatus() const;
  // daemon_handover.cc
  void NoteProgram();
  HandoverMessage SharedWithSuccessor();
  Result<HandoverMessage> PackForSuccessor();
  Result<> ShareListeners(HandoverMessage& take);
  Result<std::vector<UniqueFd>> Leave();
  Result<pid_t> HandOverToSuccessor(const std::function<void(const Error&)>& late);
  void NoteRefusal(const Error& refusal);
  bool WantsSuccessor() const;
  Result<pid_t> TryHandOver(const std::function<void(const Error&)>& tell);  // tell: why there is none
  // What a signal asks for. False: this attester ends.
  bool Follow(const signalfd_siginfo& signal, const ReloadHooks& hooks, std::optional<pid_t>& successor);
  Result<> Adopt(HandoverReceived received, const HandoverLink& link);
  Result<> RecordTakeOver();
  void TakeRunKey(const HandoverMessage& take);
  Result<> GoOn(HandoverReceived take, std::uint64_t held_since_ms);
  Result<> TakeOver(const HandoverLink& link);
  void Supervise();
  nlohmann::json Status() const;
  void Stop();
};

}  // namespace assay::daemon
