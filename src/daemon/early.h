// The attester in an initramfs: it starts before any other user space, and goes on when the machine has its
// real root.
//
//   ASSAY_ASSIGN(Early early, Early::Enter());   // before any thread: it keeps seeing /proc and /run
//   if (early.Moved()) ASSAY_TRY(early.Follow());   // now the first process's root is ours
//
// Contract: Enter() is refused outside an initramfs ("early.no-initramfs"). Between the move of /proc and
// Follow() the attester sees the same files at the same names; it does not see what is mounted in that time.
// The same process serves before and after, so there is one list, one PCR and no gap. Source:
// initramfs-tools' init, which moves the mounts one by one and then runs run-init; run-init(8),
// switch_root(8).
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
  bool Moved() const;  // the first process has another root than this one
  Result<> Follow();

 private:
  std::vector<std::string> kept_;  // mounts whose lower mount this process holds
};

// Continues this program in a child process. In the parent, Start() returns when the child has called
// Ready(), or fails when the child ended before that. Call it before any thread is started.
class Background {
 public:
  static Result<Background> Start();
  bool parent() const { return parent_; }
  void Ready();

 private:
  bool parent_ = false;
  UniqueFd ready_;
};

// The files that the configuration needs in an initramfs, besides the program and its libraries.
std::vector<std::string> EarlyFiles(const Config& config);

// Whether an attester with this configuration can start in an initramfs (a usage error says why not).
Result<> AllowsEarly(const Config& config);

// Settings for the initramfs script, as shell assignments: whether to start the attester there at all, what
// to cap if it does not start, and whether to go on booting.
std::string EarlySettings(const Config& config);

// Waits while another attester holds the list; found() gets its process id, and says false where there is
// nothing to wait for. Returns true when that attester
// has ended by itself, or at once if there is none. SIGHUP goes on to the other attester. Returns false at
// another signal of stop_fd: the other attester was then told to stop, and has ended.
Result<bool> StandBy(const Config& config, int stop_fd, const std::function<bool(pid_t)>& found);

}  // namespace assay::daemon
