// Internal: one fanotify group. It marks mounts; the tasks that open files there wait until the files are
// measured and the group answers. The engine has one group for the mounts that the kernel serves itself. Each
// mount that another program serves has a process with a group of its own (served_process.h).
//
//   // given: MeasurementSink& sink, const RulesOptions& rules, const HeldLimits& limits
//   auto group = std::make_shared<FanotifyGroup>(sink, rules, limits, FanotifyGroupOptions{});
//   ASSAY_TRY(group->Start());
//   ASSAY_TRY(group->Mark("/"));
//   group->Stop();   // before the last reference goes
//
// Contract: that of measure/engine/engine.h. The kernel opens the file of an event while the group is read.
// If that open hangs, further readers start, up to a bound, and the task that wanted the file can only be
// killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/event_fd.h"
#include "base/fd.h"
#include "base/mutex.h"
#include "measure/engine/engine.h"
#include "measure/engine/held_tasks.h"
#include "measure/engine/rules.h"
#include "measure/engine/sink.h"
#include "measure/fanotify/exempt.h"
#include "measure/fanotify/fanotify_request.h"
#include "measure/system/file.h"
#include "measure/system/file_id.h"
#include "measure/system/served.h"

namespace assay::measure {

struct FanotifyGroupOptions {
  bool filesystems = false;  // mark whole file systems, not mounts
  // Of a group for one served mount: its file system's device, whose connection may be ended at the stop.
  dev_t served_device = 0;
};

class FanotifyGroup : public std::enable_shared_from_this<FanotifyGroup> {
 public:
  FanotifyGroup(MeasurementSink& sink, const RulesOptions& rules, HeldLimits limits,
                const FanotifyGroupOptions& options);
  ~FanotifyGroup() { Stop(); }
  Result<> Start();
  Result<> Mark(const std::string& point);
  void MountsChanged() { served_.Forget(); }
  void SetHelpers(const std::set<pid_t>& pids);  // processes that are exempt besides those of the limits
  EngineStats Stats() const;
  Result<> Health() const;
  void Stop() { StopAfter(std::chrono::seconds(2), true); }
  // Without a mark, and with all of it answered; but the kernel's group goes only with this object: its end
  // waits for tasks that another group holds (fsnotify_destroy_group()).
  void Leave(std::chrono::milliseconds drain) { StopAfter(drain, false); }
  UseGate& uses() { return tasks_.uses(); }
  Notices& notices() { return *notices_; }

 private:
  void StopAfter(std::chrono::milliseconds drain, bool close);  // drain: for what is held already
  using RequestPtr = std::shared_ptr<FanotifyRequest>;

  bool Exempt(pid_t tid) const;
  void PushRead();
  void ReadEvents();
  void CountReading(int by);
  void TakeEvents(ByteView events);
  RequestPtr MakeRequest(const fanotify_event_metadata& event) const;
  void Handle(const RequestPtr& request);
  void HandleFile(const RequestPtr& request);
  void HandleCode(const RequestPtr& request);
  void HandleData(const RequestPtr& request);
  void HandleChange(const RequestPtr& request);
  void NoteOrder(FanotifyRequest& request);
  void PushLook(const RequestPtr& request, FileId file);
  void LookForUse(const RequestPtr& request, FileId file);
  void RecordChange(const FanotifyRequest& request);
  bool IsOwnOutput(const FanotifyRequest& request, FileState state) const;
  bool Measure(FanotifyRequest& request);  // false: must not be allowed
  bool Settle(FanotifyRequest& request, const Result<Digest>& digest, FileState state, bool writers);
  Result<Recorded> Record(const FanotifyRequest& request, const Result<Digest>& digest, bool writers,
                          const Context& context);
  bool MarkClean(const FanotifyRequest& request, bool lasting);
  void Look(FanotifyRequest& request, std::string path) const;
  void Answer(FanotifyRequest& request, bool allow);

  // A file that was written to, until it is known whether it was in use.
  struct Change {
    std::uint64_t writes = 0;
    bool looked_for = false;    // it is in the lane
    std::set<pid_t> executing;  // tasks whose execution of the file began after the last write
  };

  const FanotifyGroupOptions options_;
  const HeldLimits limits_;
  const ExemptProcesses exempt_;
  MeasurementSink& sink_;
  const bool enforced_;  // appraise rules
  std::shared_ptr<Notices> notices_;
  Rules rules_;
  ServedFiles served_;
  UniqueFd group_;
  EventFd drain_event_;

  mutable Mutex mutex_;
  std::map<FileId, Change> changes_ ASSAY_GUARDED_BY(mutex_);
  ExemptProcesses helpers_ ASSAY_GUARDED_BY(mutex_){{}};
  bool stopped_ ASSAY_GUARDED_BY(mutex_) = false;
  unsigned reading_ ASSAY_GUARDED_BY(mutex_) = 0;  // threads in read(), and since when there is one
  std::chrono::steady_clock::time_point reading_since_ ASSAY_GUARDED_BY(mutex_);

  HeldTasks tasks_;
  std::shared_ptr<Lane> readers_, changed_;
  std::shared_ptr<Lane> closing_;  // of files that are served
};

}  // namespace assay::measure
