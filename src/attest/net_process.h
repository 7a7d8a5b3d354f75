// The network process as its parent sees it: started with nothing but its sockets, asked for its report,
// ended. Internal to the attest room.
//
//   ASSAY_ASSIGN(auto process, NetProcess::Start(program, setup, listener));
//   ... process->control(), process->slot(i) ...
//   log::Warn("{}", process->End());
//
// Contract: it inherits no descriptor but its control socket, no environment, no signal mask, and is the
// leader of a session of its own. The key travels in a sealed memory file. End() kills what still runs and
// reaps it.
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
  // Waits for the report: its Landlock ABI, or why it does not serve (StateError "attest.net-start").
  Result<std::uint32_t> AwaitReady();
  std::string End();  // how it ended: "killed by signal 9"

 private:
  NetProcess() = default;
  pid_t pid_ = -1;
  UniqueFd control_;
  std::vector<UniqueFd> slots_;
};

}  // namespace assay::attest
