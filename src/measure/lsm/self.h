// Internal: finds out whether the kernel still calls the lsm engine's programs, by making system calls that
// must reach them.
//
//   // given: const LsmPrograms& programs, pid_t gate
//   ASSAY_ASSIGN(std::unique_ptr<LsmSelf> self, LsmSelf::Start("/run/assayd/engine"));
//   for (const std::string& name : self->Ask(programs, gate)) log::Error("{} is silent", name);
//
// Contract: nothing that Ask() does lasts, and no program treats it as a load, because the map `control`
// names the asking thread meanwhile. A test call that fails says nothing about its hook. Hooks that can't be
// tested (the ends of kernel reads, the guard's hooks, calls of 32-bit programs) must at least be pinned. One
// thread at a time. Ask() returns the names of programs: "on_exec".
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "measure/lsm/programs.h"

namespace assay::measure {

class LsmSelf {
 public:
  static Result<std::unique_ptr<LsmSelf>> Start(const std::string& dir);  // for files that come and go
  std::set<std::string> Ask(const LsmPrograms& programs, pid_t gate);

 private:
  LsmSelf() = default;
  bool Exec() const;
  bool Map(bool then_protect) const;
  bool Files(unsigned pulse) const;
  bool OpenNull() const;

  UniqueFd dir_;
  UniqueFd no_program_;                               // a file in memory that no program can be made of
  UniqueFd null_;                                     // /dev/null, as a path
  std::array<bool, ASSAY_PULSES> heard_{}, quiet_{};  // ever; when it was asked last
  unsigned rounds_ = 0;
};

}  // namespace assay::measure
