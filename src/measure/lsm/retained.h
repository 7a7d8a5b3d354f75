// Internal: BPF programs that the kernel may call although they are detached.
//
//   // given: const bpf_object& loaded
//   RetainedPrograms retained;
//   ASSAY_TRY(retained.Retain(loaded));                      // before the first task waits in a hook
//   retained.Release(std::chrono::steady_clock::now());      // now and then
//
// The kernel calls the programs of a hook one after the other, the newest first. When one is detached, a task
// that is on its way through the hook still calls it, but the kernel only waits for tasks that run the
// program at that moment before it frees it. Our hooks hold tasks for long, so every other program of such a
// hook that is detached meanwhile (another tool ends, an attester is replaced) is called after it was freed,
// and the machine stops: "Kernel panic - not syncing: Fatal exception in interrupt". Seen on Linux 6.12; the
// code of 7.3 is the same (kernel/bpf/trampoline.c, bpf_tramp_image_put(), which keeps only the image). A
// descriptor of the program keeps it.
//
// Contract: Retain() keeps a descriptor of each program that is attached to a kernel function that one of the
// programs in `loaded` belongs to, those themselves included. Release() closes the descriptors of the
// programs that have had no link for kRest. Programs without a number, which the kernel makes for cgroups
// (BPF_LSM_CGROUP), can't be kept (docs/limitations.md). One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "base/fd.h"
#include "base/result.h"
#include "measure/lsm/bpf.h"

namespace assay::measure {

class RetainedPrograms {
 public:
  using Clock = std::chrono::steady_clock;
  // A task is on its way through a hook for no longer than a deadline and the gate's limit.
  static constexpr std::chrono::minutes kRest{10};

  Result<> Retain(const bpf_object& loaded);
  void Release(Clock::time_point now);

 private:
  struct Kept {
    UniqueFd program;
    std::optional<Clock::time_point> detached;  // since when it has had no link
  };
  std::map<std::uint32_t, Kept> kept_;  // by the programs' numbers
  Clock::time_point next_;              // when the links are looked at again
};

}  // namespace assay::measure
