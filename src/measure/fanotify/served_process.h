// Internal: the process that watches one served mount for the fanotify engine.
//
//   // given: const std::string& program, const ServedSetup& setup, const ServedOwner& owner
//   ASSAY_ASSIGN(auto process, ServedProcess::Start(program, setup, owner));
//   if (!process->Alive()) log::Warn("another one has to be started");
//   process->AskToStop();
//   process->End(std::chrono::steady_clock::now() + std::chrono::seconds(2));
//
// Contract: only that process holds the mount's fanotify group and opens its files. So if the file system
// never answers, and a thread stays in the kernel even after a kill, that thread keeps nothing but what
// belongs to that mount. The process asks this one over a socket pair to record what it measures. If this
// process dies, the other one lets all tasks go, ends the connection of a FUSE server that does not answer,
// and ends itself.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/thread.h"
#include "measure/engine/lanes.h"
#include "measure/engine/sink.h"
#include "measure/fanotify/served_wire.h"

namespace assay::measure {

struct ServedOwner {
  MeasurementSink* sink = nullptr;
  UseGate uses{};  // of the sink
  std::function<bool(const Digest&)> known;
  std::function<void(Refusal)> refused;  // must not block
};

class ServedProcess {
 public:
  // An OsError "posix_spawn" where there is no such program; else what the process says.
  static Result<std::unique_ptr<ServedProcess>> Start(const std::string& program, const ServedSetup& setup,
                                                      ServedOwner owner);
  ~ServedProcess();
  pid_t pid() const { return pid_; }
  bool Alive() const;
  EngineStats Stats() const;
  Result<> Health() const;
  void AskToStop();
  void End(std::chrono::steady_clock::time_point until);  // kills what has not ended by then

 private:
  explicit ServedProcess(ServedOwner owner, HashAlg bank) : owner_(std::move(owner)), bank_(bank) {}
  Result<> AwaitStart();
  void Serve();
  bool TakeCall();    // false: the other side has ended
  bool TakeReport();  // the same
  SinkReply Answer(const SinkCall& call);

  ServedOwner owner_;
  const HashAlg bank_;
  pid_t pid_ = -1;
  UniqueFd life_, calls_;
  mutable Mutex mutex_;
  bool ended_ ASSAY_GUARDED_BY(mutex_) = false;
  ServedReport report_ ASSAY_GUARDED_BY(mutex_);
  Thread server_;
};

}  // namespace assay::measure
