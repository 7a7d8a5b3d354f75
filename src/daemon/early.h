// The attester in an initramfs: started before any other user space, it goes on when the machine has its real
// root.
//
//   ASSAY_ASSIGN(Early early, Early::Enter());   // before any thread: it keeps seeing /proc and /run
//   ... if (early.Moved()) ASSAY_TRY(early.Follow());   // now the first process's root is ours
//
// Contract: Enter() is refused outside an initramfs ("early.no-initramfs"). Between the moving of /proc and
// Follow() the attester sees the same files at the same names; only what is mounted meanwhile is not seen.
// The same process serves before and after: one list, one PCR, no gap. Source: initramfs-tools' init, which
// moves the mounts one by one and then runs run-init; run-init(8), switch_root(8).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/config.h"

namespace assay::daemon {

class Early {
 public:
  static Result<Early> Enter();
  bool Moved() const;  // the first process has another root than we
  Result<> Follow();

 private:
  std::vector<std::string> kept_;  // mounts of which we hold the lower one
};

// Starts this program's work in a child, and returns in the parent when the child has called Ready(), or with
// an error when it ended without. Before any thread.
class Background {
 public:
  static Result<Background> Start();
  bool parent() const { return parent_; }
  void Ready();

 private:
  bool parent_ = false;
  UniqueFd ready_;
};

// What must lie in an initramfs besides the program itself and its libraries, by the configuration.
std::vector<std::string> EarlyFiles(const std::string& config_path, const Config& config);

// What the initramfs' script has to know of it without the attester, as a shell reads it: what to cap, and
// whether to go on.
std::string EarlySettings(const Config& config);

// While another attester holds the list (found() is told which process): waits, and returns true when that
// one has ended by itself. False: stop_fd became readable, and the other one was told to stop and has ended.
// At once true: there is none.
Result<bool> StandBy(const Config& config, int stop_fd, const std::function<void(pid_t)>& found);

}  // namespace assay::daemon
