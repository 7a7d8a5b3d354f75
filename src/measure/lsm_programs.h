// Internal: the BPF programs in the kernel: loaded, attached all or none, pinned so that they outlive us, and
// the maps through which they are talked to.
//
//   ASSAY_ASSIGN(auto programs, LsmPrograms::Open({"/run/assayd/bpf", guard, policy.text()}));
//   programs->control().gate = pid;
//
// Contract: Open() takes over what an earlier attester of the same build and policy left pinned (adopted()),
// and replaces anything else. Remove() detaches all; without it the programs stay when this object goes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "measure/bpf.h"
#include "measure/lsm_wire.h"

namespace assay::measure {

// The kernel's own form of a device number: major << 20 | minor.
std::uint32_t KernelDev(dev_t dev);

struct LsmSetup {
  std::string pin_dir;
  bool guard = false;  // self-protection: its programs are loaded too
  std::string policy;
};

class LsmPrograms {
 public:
  // By loading and attaching. StateError "engine.lsm-..." says what is missing.
  static Result<> Probe();
  static Result<std::unique_ptr<LsmPrograms>> Open(LsmSetup setup);
  ~LsmPrograms();
  LsmPrograms(const LsmPrograms&) = delete;
  LsmPrograms& operator=(const LsmPrograms&) = delete;

  bool adopted() const { return adopted_; }
  assay_control& control() const { return *control_; }
  Result<> Mark(pid_t pid, std::uint32_t role) const;     // of a process, until it ends
  std::optional<assay_request> Request(pid_t tid) const;  // that this thread waits for
  // Questions whose thread can't be waiting any more; how many.
  std::size_t DropStaleRequests(std::chrono::nanoseconds older) const;
  // Each is forgotten only when `record` has returned; false: the rest stays.
  void TakeMissed(const std::function<bool(const assay_missed&)>& record) const;
  Result<bpf::RingPtr> OpenEvents(std::function<void(const assay_event&)>* on_event) const;
  // Character devices that take raw commands for disks: their drivers may be loaded at any time.
  void FindCommandDevices() const;
  Result<> AddOwnFile(const std::string& path) const;  // it may be loaded also when nobody answers
  // From now on nobody but us reaches the objects, while this process lives. Only with LsmSetup::guard.
  Result<> Guard() const;
  // Forgets what is clean. From the first call until the second one, nobody can take the programs over.
  void BeginPolicy();
  void EndPolicy(std::string_view policy);
  void Remove();
  // What a killed attester left, where this one uses another engine.
  static void RemovePinned(const std::string& pin_dir);

 private:
  LsmPrograms() = default;
  Result<> Adopt();
  Result<> Load();
  Digest Identity() const;
  Result<> UseMaps(const std::function<Result<UniqueFd>(const std::string&)>& open);

  LsmSetup setup_;
  bool adopted_ = false;
  assay_control* control_ = nullptr;
  UniqueFd control_map_, requests_, tasks_, missed_, events_, own_files_, own_objects_;
};

}  // namespace assay::measure
