// Internal: the way from a BPF hook to the attester and back. It is a FUSE file system that no process can
// reach. One file is on it, the program of the gate's process, and the kernel asks one question about it in
// the name of the thread that waits: GETXATTR of ASSAY_XATTR.
//
//   // given: const std::function<void(pid_t, GateReply, bool)>& ask, const LsmPrograms& programs
//   #include "measure/lsm/programs.h"
//   GateOptions options{.dir = "/run/assayd/gate", .ask = ask, .mark = {}};
//   options.mark = [&](pid_t pid) { return programs.Mark(pid, ASSAY_ROLE_GATE); };
//   ASSAY_ASSIGN(std::unique_ptr<Gate> gate, Gate::Start(std::move(options)));
//   gate->Beat();   // at least each `limit`
//
// Contract: `ask` runs on a thread of the gate. If its last argument (hurry) is true, no other thread reads
// questions meanwhile, and `ask` must only queue. A reply that is dropped is answered with an error, so that
// no thread waits in vain. If no beat comes for `limit`, or this process dies, every thread that waits gets
// an error from the kernel, and Alive() turns false; then start another gate.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "measure/lsm/kernel/wire.h"

namespace assay::measure {

class GateReply {
 public:
  GateReply(void* request, std::shared_ptr<void> session) : request_(request), session_(std::move(session)) {}
  GateReply(GateReply&& o) noexcept
      : request_(std::exchange(o.request_, nullptr)), session_(std::move(o.session_)) {}
  GateReply& operator=(GateReply&& o) noexcept {
    std::swap(request_, o.request_);
    std::swap(session_, o.session_);
    return *this;
  }
  ~GateReply();
  void Answer(const assay_answer& answer);  // once; later calls do nothing

 private:
  void* request_;                  // fuse_req_t
  std::shared_ptr<void> session_;  // which it needs to be answered, also when the gate is gone
};

struct GateOptions {
  std::string dir;                         // made if missing
  unsigned readers = 2;                    // a fixed pool
  std::chrono::milliseconds limit{5'000};  // without a beat
  std::function<void(pid_t tid, GateReply, bool hurry)> ask;
  std::function<Result<>(pid_t pid)> mark;  // called before the gate's program is executed
};

class Gate {
 public:
  static Result<std::unique_ptr<Gate>> Start(GateOptions options);
  ~Gate();
  pid_t pid() const;
  bool Alive() const;
  void Beat();

 private:
  struct Impl;
  explicit Gate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
