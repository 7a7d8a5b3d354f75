// The privileged side of a challenge: a list (the recorder's, or the kernel's) and the TPM in, evidence out.
//
//   ASSAY_ASSIGN(auto collector, Collector::Create({.engine = ...}, recorder, tpm, AkKind::kEccP256));
//   ASSAY_ASSIGN(Collected c, collector->Prepare(challenge, binding, Level::kFull));   // the list in its
//   file ASSAY_ASSIGN(Evidence e, collector->Collect(challenge, binding, Level::kFull));    // the list in
//   memory
//
// Contract: one collection at a time, and the recorder is quiesced for the quote only: the list, which grows
// and never changes, is left in its file; most of the context is read before. After a collection the recorder
// has at least as much time to itself. An attester whose recorder is degraded refuses (StateError
// "attest.degraded"), it never quotes around a gap; so does
// one that has lost the key of its run; a list that grows faster than can be quoted is
// "attest.busy"; what is larger than a message may be is
// "attest.too-large". What a level does not show is not in the claims either: checkpoints come with the list
// only.
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
  std::string kernel_policy;  // what the kernel was told to measure, where it measures by itself; else empty
  // By the key of this run (tpm/run_key.h). Empty: evidence has no signature of a run, as the kernel's own
  // list needs none.
  std::function<Result<Bytes>(ByteView statement)> run;
};

// Evidence whose list is list_bytes bytes of `list` from list_at on; evidence.list is empty.
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
  Result<Collected> Prepare(const evidence::Challenge& challenge, const evidence::Binding& binding,
                            evidence::Level level);
  // Who the TPM is, as it was at the start.
  evidence::Identity Identify() const;
  // The proof for a credential of this AK and EK. StateError "attest.wrong-credential" for any other.
  Result<Bytes> Activate(const evidence::Activate& activate, const evidence::Binding& binding);
  Result<evidence::Evidence> Collect(const evidence::Challenge& challenge, const evidence::Binding& binding,
                                     evidence::Level level);
  const tpm::Ak& ak() const;

 private:
  struct Impl;
  explicit Collector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
