#include "measure/fanotify/fanotify_marks.h"

#include <sys/sysmacros.h>

#include "measure/system/file.h"

#ifndef FAN_MARK_EVICTABLE  // Linux 5.19, newer than Debian 12's C library
#define FAN_MARK_EVICTABLE 0x00000200
#endif

namespace assay::measure {
namespace {

Result<> Mark(int group, unsigned flags, std::uint64_t mask, int fd) {
  if (fanotify_mark(group, flags, mask, fd, nullptr) != 0) return Fail(OsError("fanotify_mark", "", errno));
  return {};
}

}  // namespace

Result<UniqueFd> OpenGroup() {
  // O_NONBLOCK, because the kernel opens FIFOs for us too, and would otherwise wait for their writers.
  const int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                                   FAN_UNLIMITED_MARKS | FAN_REPORT_TID,
                               O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
  if (fd < 0) return Fail(OsError("fanotify_init", "", errno));
  return UniqueFd(fd);
}

// The mark is evictable: it does not pin the inode, and when the kernel drops the inode, the file is measured
// again. A mark always has an event of its own besides the ignore mask, so that Forget() never deletes it:
// the kernel lets a permission event pass if a mark of the same group is deleted at that moment
// (fanotify_handle_event()).
Result<> IgnoreUntilModified(int group, int file, bool code) {
  ASSAY_TRY(Mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE,
                 code ? kChangeEvents : std::uint64_t{FAN_OPEN_EXEC}, file));
  return Mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE | FAN_MARK_IGNORED_MASK,
              code ? kOpenEvents : std::uint64_t{FAN_OPEN_PERM}, file);
}

// The next open makes an event again, and so does each write.
void AskAgain(int group, int file) {
  static_cast<void>(
      fanotify_mark(group, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, kOpenEvents, file, nullptr));
}

// The next open makes an event again. Until then single writes make none, but the close after them does.
void Forget(int group, int file) {
  // It fails if the kernel dropped the mark together with the inode, which does no harm.
  AskAgain(group, file);
  static_cast<void>(fanotify_mark(group, FAN_MARK_REMOVE, FAN_MODIFY, file, nullptr));
}

// Every change of the file makes an event. The file does not become clean: it is measured at each open.
Result<> TellChanges(int group, int file) {
  return Mark(group, FAN_MARK_ADD | FAN_MARK_EVICTABLE, kChangeEvents, file);
}

}  // namespace assay::measure
