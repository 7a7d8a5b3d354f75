// Internal: one task that waits in a hook of the kernel's side for the attester's answer.
//
//   #include "measure/engine/held_tasks.h"
//   // given: GateReply& reply, const assay_request& request, Cgroups& cgroups,
//   // given: HeldTasks& tasks, const Digest& digest
//   auto task = std::make_shared<LsmTask>(std::move(reply), request, cgroups);
//   tasks.Take(task);
//   if (tasks.Claim(*task)) task->Answer(ASSAY_ANSWER_CLEAN, &digest);
//
// Contract: the functions that the watchdog calls (HeldTask) make no request to a file system and read
// nothing that belongs to the task.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "measure/engine/held_tasks.h"
#include "measure/engine/rules.h"
#include "measure/lsm/gate.h"
#include "measure/lsm/kernel/wire.h"
#include "measure/policy/interpreters.h"
#include "measure/system/cgroup.h"

namespace assay::measure {

class LsmTask final : public HeldTask {
 public:
  LsmTask(GateReply reply, const assay_request& asked, Cgroups& cgroups)
      : request(asked), reply_(std::move(reply)), cgroups_(cgroups) {}

  void Answer(std::uint32_t flags, const Digest* digest);
  // Called by the watchdog, while a worker may still work on the task.
  void Allow() override { Send(assay_answer{}); }
  void Refuse() override { Send({.flags = ASSAY_ANSWER_REFUSE, .program = 0, .digest = {}, .hook = 0}); }
  std::string Path() const override;
  Context Describe() const override;
  bool MustBeNamed() const override { return true; }
  dev_t Device() const override;

  std::uint32_t kind() const { return request.kind; }
  bool Has(std::uint32_t flag) const { return (request.flags & flag) != 0; }
  // The beginning of the task's command line; empty: it is unknown.
  std::string_view Words() const {
    return {request.words, std::min<std::size_t>(request.words_size, ASSAY_WORDS)};
  }
  Hook hook() const;
  Task Waiter() const;  // as the kernel's side knows it; /proc is not read

  const assay_request request;
  std::uint32_t program = 0;     // what is executed or opens, as the kernel's side shall know it
  std::uint32_t start_hook = 0;  // ASSAY_HOOK_*: with which it shall be started
  std::atomic<dev_t> device{0};  // once its file is open

 private:
  std::optional<Digest> Loader() const;  // of a BPF program
  void Send(const assay_answer& answer) { reply_.Answer(answer); }

  GateReply reply_;
  Cgroups& cgroups_;
};
using LsmTaskPtr = std::shared_ptr<LsmTask>;

Hook HookOf(std::uint32_t kind, std::uint32_t detail);
std::uint32_t WireOf(Interpreter program, Reader reader);

}  // namespace assay::measure
