#include "measure/record/list_lock.h"

#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "measure/record/errors.h"

namespace assay::measure {
namespace {

// An attester that checks whether another one runs holds the lock for an instant.
constexpr int kTries = 10, kPauseMs = 50;

bool TakeLock(const UniqueFd& fd) {
  for (int i = 0; i < kTries; ++i) {
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return true;
    poll(nullptr, 0, kPauseMs);
  }
  return false;
}

}  // namespace

Result<std::shared_ptr<ListLock>> ListLock::Take(const std::string& dir) {
  ASSAY_TRY(MakeDirs(dir, 0700));
  ASSAY_ASSIGN(UniqueFd fd, Open(dir + "/lock", O_RDWR | O_CREAT));
  if (!TakeLock(fd)) {
    const pid_t holder = HolderIn(fd);
    const std::string who = holder > 0 ? "process " + std::to_string(holder) : "another process";
    return Fail(StateError(RecorderError::kLocked, who + " already records in " + dir));
  }
  return Adopt(std::move(fd));
}

Result<std::shared_ptr<ListLock>> ListLock::Adopt(UniqueFd fd) {
  // It is the descriptor's own lock where this succeeds.
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return Fail(OsError("flock", "lock", errno));
  if (ftruncate(fd.get(), 0) != 0) return Fail(OsError("ftruncate", "lock", errno));
  ASSAY_TRY(PWriteAll(fd.get(), AsBytes(std::to_string(getpid())), 0));
  return std::shared_ptr<ListLock>(new ListLock(std::move(fd)));
}

pid_t HolderIn(const UniqueFd& lock) {
  char text[32];
  const ssize_t n = pread(lock.get(), text, sizeof(text), 0);
  pid_t holder = -1;
  if (n > 0) std::from_chars(text, text + n, holder);
  return holder > 0 ? holder : -1;
}

}  // namespace assay::measure
