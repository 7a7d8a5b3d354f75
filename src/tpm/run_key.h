// The run key: a signing key that dies with the process that made it, so that nobody who takes the process's
// place can go on in its name.
//
//   ASSAY_ASSIGN(std::unique_ptr<RunKey> key, RunKey::Create(*tpm));
//   Bytes said = key->public_area();                                 // TPMT_PUBLIC, for the list
//   ASSAY_ASSIGN(Bytes signature, key->Sign(statement));             // TPMT_SIGNATURE over
//   SHA-256(statement)
//
// Contract: docs/formats/tpm.md, "The run key". Made in the NULL hierarchy from random numbers that are kept
// nowhere, used with a random authorisation that only this object has. Where a resource manager keeps
// connections apart the key lives in a connection of its own, and the TPM forgets it when that is closed,
// however the process ends; elsewhere it lies in the one connection that there is, and the authorisation
// alone keeps others from it. A key that the TPM has lost is never made again: Sign() says StateError
// "run-key.lost" from then on, lost() is true, and whoever needs a key starts a new run.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "tpm/tpm.h"

namespace assay::tpm {

// Connections of this kind have transient objects of their own: the kernel's resource manager, or tpm2-abrmd.
// What is not known to have one counts as a TPM with one connection.
bool HasResourceManager(std::string_view tcti);

class RunKey {
 public:
  // tpm outlives the key.
  static Result<std::unique_ptr<RunKey>> Create(Tpm& tpm);
  ~RunKey();
  RunKey(const RunKey&) = delete;
  RunKey& operator=(const RunKey&) = delete;

  const Bytes& public_area() const { return public_; }
  bool lost() const { return lost_; }
  Result<Bytes> Sign(ByteView statement);

 private:
  RunKey() = default;
  std::unique_ptr<Tpm> own_;  // the connection of its own
  Tpm* tpm_ = nullptr;        // that, or the shared one
  Bytes public_;
  std::atomic<bool> lost_{false};
};

}  // namespace assay::tpm
