// The privileged side of a challenge: it collects evidence from a list (the recorder's, or the kernel's) and
// the TPM.
//
//   // given: measure::ListSource& list, tpm::Tpm& tpm, const evidence::Challenge& challenge,
//   // given: const evidence::Binding& binding
//   ASSAY_ASSIGN(auto collector, Collector::Create(CollectorOptions(), list, tpm, tpm::AkKind::kEccP256));
//   ASSAY_ASSIGN(Collected in_file, collector->Prepare(challenge, binding, evidence::Level::kFull));
//   ASSAY_ASSIGN(evidence::Evidence whole, collector->Collect(challenge, binding, evidence::Level::kFull));
//
// Contract: one collection runs at a time. The recorder is quiesced only during the quote: the list is
// append-only and stays in its file, and most of the context is read before. After a collection the recorder
// has at least as long without another one. An attester whose recorder is degraded, or that has lost the key
// of its run, refuses (StateError "attest.degraded"): it never quotes a list with a gap. A list that grows
// faster than it can be quoted is "attest.busy"; evidence larger than a message may be is "attest.too-large".
// The claims hold nothing that the level hides: checkpoints come only with the list.
#pragma once

#include <functional>

#include "base/fd.h"
#include "evidence/message.h"
#include "measure/lists/list_source.h"
#include "tpm/tpm.h"

namespace assay::attest {

struct CollectorOptions {
  std::string event_log = "/sys/kernel/security/tpm0/binary_bios_measurements";  // may not exist
  std::uint64_t started_ms = 0;                                 // of the attester, since the epoch
  std::function<std::pair<std::string, std::string>()> engine;  // name, state
  std::string kernel_policy;  // the kernel's own IMA policy if the kernel measures; else empty
  // Signs with the key of this run (tpm/run_key.h). Empty: evidence has no signature of a run, which the
  // kernel's own list does not need.
  std::function<Result<Bytes>(ByteView statement)> run;
};

// Evidence whose list is in the file `list`: list_bytes bytes from list_at on. evidence.list is empty.
struct Collected {
  evidence::Evidence evidence;
  UniqueFd list;
  std::uint64_t list_at = 0, list_bytes = 0;
};

class Collector {
 public:
  static Result<std::unique_ptr<Collector>> Create(CollectorOptions options, measure::ListSource& list,
                                                   tpm::Tpm& tpm, tpm::AkKind kind);
  ~Collector();
  // The list stays in its file.
  Result<Collected> Prepare(const evidence::Challenge& challenge, const evidence::Binding& binding,
                            evidence::Level level);
  // The identity of the TPM, read at Create(); `device`: and that of the machine, if its maker gave it one.
  evidence::Identity Identify(bool device = false) const;
  // The proof for a credential of this AK and EK, and the words of the machine's keys, if they are asked for.
  // StateError "attest.wrong-credential" for any other credential.
  Result<evidence::Activation> Activate(const evidence::Activate& activate, const evidence::Binding& binding);
  // The list is read into memory.
  Result<evidence::Evidence> Collect(const evidence::Challenge& challenge, const evidence::Binding& binding,
                                     evidence::Level level);
  const tpm::Ak& ak() const;

 private:
  struct Impl;
  explicit Collector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
