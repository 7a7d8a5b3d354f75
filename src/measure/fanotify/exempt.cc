#include "measure/fanotify/exempt.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"

namespace assay::measure {

ExemptProcesses::ExemptProcesses(const std::set<pid_t>& pids) {
  for (const pid_t pid : pids) {
    UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (process)
      processes_.emplace_back(pid, std::move(process));
    else
      log::Warn("fanotify: {}", OsError("pidfd_open", std::to_string(pid), errno).Message());
  }
}

bool ExemptProcesses::Has(pid_t tid) const {
  return std::any_of(processes_.begin(), processes_.end(), [tid](const auto& entry) {
    const auto& [pid, process] = entry;
    return syscall(SYS_tgkill, pid, tid, 0) == 0 &&
           syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) == 0;
  });
}

}  // namespace assay::measure
