// The recorder: the one writer of the measurement list and of its PCR.
//
//   // given: const RecorderOptions& options, tpm::Tpm& tpm, const Measurement& measurement
//   ASSAY_ASSIGN(std::unique_ptr<Recorder> recorder, Recorder::Open(options, tpm));   // reconciles both
//   ASSAY_ASSIGN(Recorded recorded, recorder->Record(measurement));   // when it returns, the task may go on
//   ASSAY_TRY(recorder->Quiesce([](const RecorderState& state) -> Result<> {
//     log::Info("{} records", state.count);   // all are extended, and no other is committed meanwhile
//     return {};
//   }));
//
// Content that the kernel takes for itself (modules, firmware, BPF programs, kexec images) has a record of
// its own. A kexec image also gets an `assay-kexec` record, each time.
//
// Contract: a record is in the list file before its extend is sent to the TPM; a call returns when its record
// is extended (or, for a grouped one, when it is in the write-ahead file of the open group). One recorder per
// PCR: a lock and the PCR itself are checked. A kill at any instant loses nothing and duplicates nothing:
// Open() drops a torn tail, extends what was written and not extended, and refuses
// ("recorder.pcr-unexplained") a PCR that the list can't explain. Safe from any thread. docs/formats/list.md
// ("Recording"), docs/formats/state.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/fd.h"
#include "base/result.h"
#include "measure/lists/list_source.h"
#include "measure/record/list_lock.h"
#include "measure/system/measurement.h"
#include "tpm/tpm.h"

namespace assay::measure {

// The algorithm that files and buffers are hashed with, whichever bank proves the list, because reference
// values have digests of this algorithm.
inline constexpr HashAlg kFileHash = HashAlg::kSha256;

struct RecorderOptions {
  std::string dir;                 // on tmpfs: list, journal, pending groups, lock
  std::shared_ptr<ListLock> lock;  // of `dir`, taken before the TPM was opened; null: Open() takes it
  std::uint32_t pcr = 10;
  // The bank of the list's columns. No value: the first that the TPM has of SHA-256, SHA-384 and SHA-512.
  std::optional<HashAlg> list_bank;
  std::uint64_t max_records = 1'000'000;  // further ones are extended and counted, not kept: state "full"
  bool synchronous = false;               // the compatible mode: no groups
  std::uint32_t group_ms = 50;            // how long a group may stay open
  std::size_t group_bytes = 64 << 10;     // how large a group may grow
  // Whether the signed manifest has the digest, so that its entry may be grouped. Empty: no entry is.
  std::function<bool(const Digest&)> known;
  // A list whose PCR was reset belongs to a state of the TPM that is gone: it is put aside as list.old
  // instead of being refused.
  bool allow_retire = false;
  // The kernel's own list of the same PCR, if it has one (its boot_aggregate begins ours).
  std::string kernel_list = "/sys/kernel/security/ima/binary_runtime_measurements";
  // Called at named instants ("list.written", "extended", ...); tests inject faults and kills here. Usually
  // empty.
  std::function<Result<>(std::string_view)> fault;
};

struct Recorded {
  bool is_new = false;  // false: this path's last record already has this digest
  // Of that record, or of the group that has it or will have it. Where the list is full no record has it; the
  // index is then the number of those that were kept.
  std::uint64_t index = 0;
};

class Recorder final : public ListSource {
 public:
  static Result<std::unique_ptr<Recorder>> Open(RecorderOptions options, tpm::Tpm& tpm);
  ~Recorder() override;  // flushes

  // For the successor of a recorder in another process (daemon/handover.h). Nothing is opened, and what is to
  // be recorded waits for Begin().
  static std::unique_ptr<Recorder> Await(RecorderOptions options, tpm::Tpm& tpm);
  // Goes on with the list, whose lock the predecessor has given away after its last Flush(). What `first`
  // records stands before all that waits. An error is also the error of all that waits.
  Result<> Begin(std::shared_ptr<ListLock> lock, const std::function<Result<>()>& first);

  Result<Recorded> Record(const Measurement& m);
  // Whether Record() would find it in the list, by what is recorded now.
  bool Has(const Measurement& m);
  // program: the digest of the program that did it, if the kernel could tell. A record beside the violation
  // then names it, and each program, kind and path is recorded once.
  Result<Recorded> RecordViolation(Violation v, const std::string& path, const Context& context,
                                   const std::optional<Digest>& program = std::nullopt);
  // An ima-buf record, always synchronous: "assay-start", "assay-policy", an application's own data.
  Result<Recorded> RecordBuffer(const std::string& name, ByteView buffer, const Context& context);

  Result<> Flush();
  // Flushes the open group, then runs fn while nothing is committed, so that a quote fits the list exactly.
  // If the PCR is not what the list makes it, the recorder is degraded for good: something else extends the
  // PCR ("recorder.pcr-foreign"), or the TPM was reset ("recorder.pcr-reset"). fn runs all the same, because
  // a quote that the list does not explain is a proof for the verifier. The PCR is also compared before a
  // record that follows a pause, and after the machine has slept.
  Result<> Quiesce(const std::function<Result<>(const RecorderState&)>& fn) override;
  RecorderState State() const override;
  // Call it when the TPM or the disk may be back: it reconnects, compares list and PCR, and goes on. Paths
  // that could not be recorded meanwhile are then recorded as unmeasurable.
  Result<> Recover();

  std::uint32_t Pcr() const override;
  HashAlg ListBank() const override;
  Result<UniqueFd> OpenList() const override;
  Result<UniqueFd> OpenJournal() const override;
  Result<std::uint64_t> OffsetOf(std::uint64_t record) const override;  // from a sparse index
  int GrowthFd() const override;
  const RecorderOptions& options() const;

 private:
  class Impl;
  explicit Recorder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
