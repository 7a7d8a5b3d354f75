// Internal: one event of the fanotify engine: a task that waits for its open, or a notice that a measured
// file was changed.
//
//   // given: int group, const fanotify_event_metadata* event, HeldTasks& tasks
//   auto request = std::make_shared<FanotifyRequest>(group, UniqueFd(event->fd), *event);
//   if (request->held()) tasks.Take(request);
//
// Contract: what the watchdog calls (HeldTask) asks no file system. Who() reads /proc once.
#pragma once

#include <sys/fanotify.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/fd.h"
#include "measure/engine/held_tasks.h"
#include "measure/engine/rules.h"
#include "measure/fanotify/fanotify_marks.h"
#include "measure/system/file.h"
#include "measure/system/file_id.h"

namespace assay::measure {

// The kernel's answer for an event's descriptor.
void Respond(int group, int fd, bool allow);

class FanotifyRequest final : public HeldTask {
 public:
  FanotifyRequest(int group, UniqueFd opened, const fanotify_event_metadata& event)
      : file(std::move(opened)), tid(event.pid), mask(event.mask), group_(group) {}

  bool held() const { return (mask & kOpenEvents) != 0; }
  bool exec() const { return (mask & FAN_OPEN_EXEC_PERM) != 0; }
  const char* hook() const { return exec() ? "exec" : "open"; }
  const ThreadStatus& Who() const;

  void Allow() override { Respond(group_, file.get(), true); }
  void Refuse() override { Respond(group_, file.get(), false); }
  std::string Path() const override { return NameOf(file.get()); }
  Context Describe() const override { return ContextOf(Who(), hook()); }
  bool MustBeNamed() const override;
  dev_t Device() const override { return device; }

  const UniqueFd file;
  const pid_t tid;
  const std::uint64_t mask;
  std::atomic<dev_t> device{0};
  std::uint64_t size = 0;
  bool counts_as_use = false;      // a write to a file, too many of which wait to be looked for
  Use use;                         // once a worker has looked at it
  std::optional<Digest> code;      // of byte code, once it is hashed
  std::atomic<bool> served{true};  // closing it may take for ever; so it is until that is known

 private:
  const int group_;
  mutable std::once_flag asked_;
  mutable ThreadStatus who_;
};

}  // namespace assay::measure
