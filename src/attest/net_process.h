// Internal to the attest room: the parent's side of the network process, which starts it with nothing but its
// sockets, waits for its report, and ends it.
//
//   // given: const std::string& program, const NetSetup& setup, const UniqueFd& listener
//   ASSAY_ASSIGN(std::unique_ptr<NetProcess> process, NetProcess::Start(program, setup, listener));
//   ASSAY_ASSIGN(std::uint32_t landlock_abi, process->AwaitReady());
//   log::Warn("{}", process->End());
//
// Contract: the process inherits its control socket as the only descriptor, no environment and no signal
// mask, and leads a session of its own. The key is passed in a sealed memory file. End() kills the process if
// it still runs, and reaps it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "attest/inner.h"

namespace assay::attest {

class NetProcess {
 public:
  static Result<std::unique_ptr<NetProcess>> Start(const std::string& program, const NetSetup& setup,
                                                   const UniqueFd& listener);
  ~NetProcess();
  pid_t pid() const { return pid_; }
  int control() const { return control_.get(); }
  int slot(std::size_t i) const { return slots_[i].get(); }
  // Waits for the report. Returns the Landlock ABI, or says why the process does not serve (StateError
  // "attest.net-start").
  Result<std::uint32_t> AwaitReady();
  std::string End();  // returns how it ended: "killed by signal 9"

 private:
  NetProcess() = default;
  pid_t pid_ = -1;
  UniqueFd control_;
  std::vector<UniqueFd> slots_;
};

}  // namespace assay::attest
