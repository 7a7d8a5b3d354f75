#include "measure/fanotify/fanotify_request.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

namespace assay::measure {

void Respond(int group, int fd, bool allow) {
  const fanotify_response response{.fd = fd,
                                   .response = allow ? std::uint32_t{FAN_ALLOW} : std::uint32_t{FAN_DENY}};
  // ENOENT: the task was killed while it waited.
  if (write(group, &response, sizeof(response)) < 0 && errno != ENOENT)
    log::Error("fanotify: {}", OsError("write", "response", errno).Message());
}

const ThreadStatus& FanotifyRequest::Who() const {
  std::call_once(asked_, [this] { who_ = StatusOf(tid); });
  return who_;
}

bool FanotifyRequest::MustBeNamed() const {
  const std::optional<struct statx> st = StatOf(file.get());
  return !st || S_ISREG(st->stx_mode);
}

}  // namespace assay::measure
