// Internal: the BPF programs in the kernel, and their maps. Either all programs are attached or none; they
// are pinned, so that they outlive this process.
//
//   // given: std::uint32_t pid, const Policy& policy
//   #include "measure/policy/policy.h"
//   ASSAY_ASSIGN(auto programs, LsmPrograms::Open({.pin_dir = "/run/assayd/bpf", .policy = policy.text()}));
//   programs->control().gate = pid;
//
// Contract: Open() takes over the programs that an earlier attester of the same build and policy left pinned
// (adopted()) if each instruction is that of the programs that would be loaded (pins.h). Otherwise it
// replaces them. The names of missed loads are kept in both cases. When programs are taken over no file stays
// clean, because it is not known which processes could reach the maps meanwhile. Remove() detaches all
// programs; without it they stay when this object is destroyed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "measure/lsm/bpf.h"
#include "measure/lsm/kernel/wire.h"
#include "measure/lsm/retained.h"

namespace assay::measure {

// The kernel's own form of a device number: major << 20 | minor.
std::uint32_t KernelDev(dev_t dev);

struct LsmSetup {
  std::string pin_dir;
  bool guard = false;  // self-protection: its programs are loaded too
  // Programs that shall be started with a hook; if there are any, a program is loaded that tells their
  // starts.
  std::map<std::string, std::string> instrumented = {};
  // Another attester's programs lie there, which it removes when it ends: ours are others, and are pinned
  // only by Pin().
  bool beside = false;
  std::string policy;
};

class LsmPrograms {
 public:
  // Tries to load and attach the programs. StateError "engine.lsm-..." says what is missing.
  static Result<> Probe();
  static Result<std::unique_ptr<LsmPrograms>> Open(LsmSetup setup);
  ~LsmPrograms();
  LsmPrograms(const LsmPrograms&) = delete;
  LsmPrograms& operator=(const LsmPrograms&) = delete;

  bool adopted() const { return adopted_; }
  // Why the pins that were found under our names did not fit ("link_on_exec: ..."); empty: all fitted, or
  // there were none.
  const std::string& unfit() const { return unfit_; }
  // The programs (by name) whose links are no longer pinned: the kernel may have dropped them.
  std::vector<std::string> MissingLinks() const;
  // Forgets what is clean.
  void ForgetClean();
  assay_control& control() const { return *control_; }
  Result<> Mark(pid_t pid, std::uint32_t role) const;     // of a process, until it ends
  std::optional<assay_request> Request(pid_t tid) const;  // that this thread waits for
  // Drops questions whose thread can't be waiting any more. Returns how many.
  std::size_t DropStaleRequests(std::chrono::nanoseconds older) const;
  // Whether the kernel confirms that the descriptor is of the file that is asked about. Without an answer:
  // false.
  bool IsRequested(int fd, const assay_request& request) const;
  // Passes each missed load to `record`, and forgets it when `record` has returned. If that returns false,
  // the rest stays.
  void TakeMissed(const std::function<bool(const assay_missed&)>& record) const;
  // Calls `judge` for each file system without a valid answer; it returns ASSAY_VOLATILE and ASSAY_SERVED as
  // flags.
  void AnswerStorages(const std::function<std::uint32_t(const assay_storage&)>& judge) const;
  Result<bpf::RingPtr> OpenEvents(std::function<void(const assay_event&)>* on_event) const;
  // Looks for character devices that take raw commands for disks; their drivers may be loaded at any time.
  void FindCommandDevices() const;
  Result<> AddOwnFile(const std::string& path) const;  // it may be loaded even if no attester answers
  // At a handover. The attester that leaves passes Known() on; the other one, whose programs were loaded with
  // LsmSetup::beside, takes that once they are active, and pins them when the first ones are gone.
  Result<std::vector<UniqueFd>> Known() const;
  Result<> TakeKnown(const std::vector<UniqueFd>& maps);
  Result<> Pin();
  // From now on, while this process lives, no other process can access the objects. Only with
  // LsmSetup::guard.
  Result<> Guard() const;
  // A change of policy. No attester can take the programs over between the two calls, and the second one
  // makes all files unclean.
  void BeginPolicy();
  void EndPolicy(std::string_view policy);
  void Remove();
  // Lets go of other programs that were detached long ago (retained.h). Called now and then.
  void ReleaseDetached() { retained_.Release(std::chrono::steady_clock::now()); }
  // Removes what a killed attester left, if this one uses another engine.
  static void RemovePinned(const std::string& pin_dir);

 private:
  LsmPrograms() = default;
  Result<> Adopt();
  Result<> Load();
  Result<> NoteLinks();
  Result<> PinMaps(const bpf::Attached& attached);
  Result<> PinLinks(const bpf::Attached& attached);
  Result<> UseMapsOf(const bpf::Attached& attached);
  void KeepMissed(int from) const;
  Digest Identity() const;
  Result<> UseMaps(const std::function<Result<UniqueFd>(const std::string&)>& open);

  LsmSetup setup_;
  RetainedPrograms retained_;
  bool adopted_ = false;
  std::string unfit_;
  bpf::Attached fresh_;  // with LsmSetup::beside, until they are pinned
  UniqueFd pins_;
  std::vector<std::pair<std::string, std::uint32_t>> links_;  // program and link number
  assay_control* control_ = nullptr;
  UniqueFd control_map_, requests_, tasks_, missed_, events_, own_files_, own_objects_, storages_,
      storage_answers_;
};

}  // namespace assay::measure
