// The attester put together: TPM, recorder, file system, engine, collector and server, started and stopped in
// order.
//
//   ASSAY_ASSIGN(std::unique_ptr<Daemon> daemon, Daemon::Start(config, std::nullopt, path));
//   daemon->Run(stop_fd);            // returns when stop_fd becomes readable
//
// Contract: the list's own records come first, before any work with EK or AK: assay-start with the key of
// this run, the attester's components, assay-policy, assay-engine and assay-manifest; assay-stop comes before
// anything is let go (docs/formats/own-records.md). What goes wrong after the start is reported in `status`
// and to every challenger, tried again each second where that can help, and never hidden.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "daemon/config.h"
#include "daemon/early.h"

namespace assay::daemon {

class Daemon {
 public:
  // early: in an initramfs; it answers no challenge until the machine has its real root, where it reads
  // `serve` from config_path anew.
  static Result<std::unique_ptr<Daemon>> Start(const Config& config, std::optional<Early> early,
                                               const std::string& config_path);
  ~Daemon();  // engine first, so that no task waits; then the server, the list, the TPM
  void Run(int stop_fd);
  std::string Status() const;  // JSON

 private:
  struct Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::daemon
