// The whole attester: it starts and stops TPM, recorder, file system, engine, collector and server in order.
//
//   // given: const Config& config, const std::string& config_path, int stop_fd
//   ASSAY_ASSIGN(RunFolder folder, RunFolder::Take(config.run_dir));   // before the log file and the TPM
//   ASSAY_ASSIGN(auto daemon, Daemon::Start(config, std::move(folder), std::nullopt, config_path));
//   daemon->Run(stop_fd, {});   // until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR2 hands over
//
// Contract: the list's own records come first, before any work with EK or AK: assay-start with the key of
// this run, the attester's components, assay-policy, assay-engine and assay-manifest. assay-stop is recorded
// before any part is stopped (docs/formats/own-records.md). A failure after the start is reported in `status`
// and to every challenger, and what failed is tried again each second where that can help. A configuration
// that is loaded again takes effect as a whole (serve, log, the policy) or not at all; what needs a restart
// is named in the log and in `status`, and stays as it was.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "daemon/config.h"
#include "daemon/early.h"
#include "daemon/handover.h"
#include "daemon/run_folder.h"

namespace assay::daemon {

// Around each reload, for a service manager.
struct ReloadHooks {
  std::function<void()> began;
  std::function<void(const Result<>& outcome)> ended;
};

class Daemon {
 public:
  // early: the attester was started in an initramfs. It then answers no challenge before the machine has its
  // real root, and reads `serve` from config_path again there.
  static Result<std::unique_ptr<Daemon>> Start(const Config& config, RunFolder folder,
                                               std::optional<Early> early, const std::string& config_path);
  // Takes over from the attester at the other end of the link. If that fails, this process ends at once and
  // the attester goes on; it holds all tasks that this process held.
  static std::unique_ptr<Daemon> TakeOver(const Config& config, const std::string& config_path,
                                          const HandoverLink& link);
  ~Daemon();  // stops the engine first, so that no task waits; then the server, the list and the TPM
  // signals: a signalfd of SIGTERM, SIGINT, SIGHUP and SIGUSR2. Returns the successor's process if one has
  // taken over.
  std::optional<pid_t> Run(int signals, const ReloadHooks& hooks);
  bool Left() const;           // a handover failed after this attester had left
  std::string Status() const;  // JSON

 private:
  struct Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::daemon
