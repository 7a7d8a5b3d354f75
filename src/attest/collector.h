// The privileged side of a challenge: recorder and TPM in, evidence out.
//
//   Collector collector({.engine = ...}, recorder, tpm, ak);
//   ASSAY_ASSIGN(Evidence e, collector.Collect(challenge, binding, Level::kFull));
//
// Contract: one collection at a time; the recorder is quiesced for the quote only. The list is read from its
// file; an attester whose recorder is degraded refuses (StateError "attest.degraded"), it never quotes around
// a gap.
#pragma once

#include <functional>

#include "attest/message.h"
#include "measure/recorder.h"
#include "tpm/tpm.h"

namespace assay::attest {

struct CollectorOptions {
  std::string event_log = "/sys/kernel/security/tpm0/binary_bios_measurements";  // may not exist
  std::uint64_t started_ms = 0;                                 // of the attester, since the epoch
  std::function<std::pair<std::string, std::string>()> engine;  // name, state
};

class Collector {
 public:
  static Result<std::unique_ptr<Collector>> Create(CollectorOptions options, measure::Recorder& recorder,
                                                   tpm::Tpm& tpm, tpm::AkKind kind);
  ~Collector();
  Result<Evidence> Collect(const Challenge& challenge, const Binding& binding, Level level);
  const tpm::Ak& ak() const;

 private:
  struct Impl;
  explicit Collector(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::attest
