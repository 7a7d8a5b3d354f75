// Internal: the BPF programs in the kernel: loaded, attached all or none, pinned so that they outlive us, and
// the maps through which they are talked to.
//
//   // given: std::uint32_t pid, const Policy& policy
//   #include "measure/policy/policy.h"
//   ASSAY_ASSIGN(auto programs, LsmPrograms::Open({"/run/assayd/bpf", false, policy.text()}));
//   programs->control().gate = pid;
//
// Contract: Open() takes over what an earlier attester of the same build and policy left pinned (adopted())
// if it is, to the instruction, what would be loaded (pins.h), and replaces anything else; what an
// earlier one has missed is kept. Nothing stays clean when programs are taken over: who could reach the maps
// meanwhile is not known. Remove() detaches all; without it the programs stay when this object goes.
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
#include "measure/lsm/bpf.h"
#include "measure/lsm/kernel/wire.h"

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
  // What lay there under our names did not fit; empty: all did, or nothing lay there. "link_on_exec: ..."
  const std::string& unfit() const { return unfit_; }
  // The programs (by name) whose links are no longer pinned: the kernel may have dropped them.
  std::vector<std::string> MissingLinks() const;
  // Forgets what is clean.
  void ForgetClean();
  assay_control& control() const { return *control_; }
  Result<> Mark(pid_t pid, std::uint32_t role) const;     // of a process, until it ends
  std::optional<assay_request> Request(pid_t tid) const;  // that this thread waits for
  // Questions whose thread can't be waiting any more; how many.
  std::size_t DropStaleRequests(std::chrono::nanoseconds older) const;
  // Whether the kernel says that the descriptor is of the file that is asked about. Its absence is a no.
  bool IsRequested(int fd, const assay_request& request) const;
  // Each is forgotten only when `record` has returned; false: the rest stays.
  void TakeMissed(const std::function<bool(const assay_missed&)>& record) const;
  // Asks for ASSAY_VOLATILE and ASSAY_SERVED of each file system that they are not known of at present.
  void AnswerStorages(const std::function<std::uint32_t(const assay_storage&)>& judge) const;
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
  Result<> NoteLinks();
  void KeepMissed(int from) const;
  Digest Identity() const;
  Result<> UseMaps(const std::function<Result<UniqueFd>(const std::string&)>& open);

  LsmSetup setup_;
  bool adopted_ = false;
  std::string unfit_;
  UniqueFd pins_;
  std::vector<std::pair<std::string, std::uint32_t>> links_;  // program and link number
  assay_control* control_ = nullptr;
  UniqueFd control_map_, requests_, tasks_, missed_, events_, own_files_, own_objects_, storages_,
      storage_answers_;
};

}  // namespace assay::measure
