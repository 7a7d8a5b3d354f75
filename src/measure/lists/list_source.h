// The measurement list that is quoted and shown, with the PCR that proves it: the recorder's own list, or the
// kernel's.
//
//   // given: ListSource& source
//   ASSAY_TRY(source.Quiesce([](const RecorderState& state) -> Result<> {
//     log::Info("{} records in {} bytes", state.count, state.list_bytes);   // list and PCR agree: quote now
//     return {};
//   }));
//   ASSAY_ASSIGN(UniqueFd list, source.OpenList());   // the file only grows
//
// Contract: the list file has columns of ListBank(), begins with record 0, and is append-only. Safe from
// any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/fd.h"
#include "base/result.h"

namespace assay::measure {

struct RecorderState {
  std::uint64_t count = 0;    // records in the list file
  std::uint64_t entries = 0;  // measurements, those inside groups included
  std::uint64_t violations = 0;
  std::uint64_t overflow = 0;  // records that were extended but not kept
  std::uint64_t gaps = 0;      // restarts of the attester within this list
  // The TPM is gone or the list can't be written: nothing is recorded until Recover() succeeds.
  bool degraded = false;
  std::string degraded_reason;  // an error's code and sentence
  std::string degraded_code;    // that error's code: "recorder.pcr-reset"
  // The TPM's, as last looked at.
  std::uint32_t reset_count = 0, restart_count = 0;
  std::uint64_t list_bytes = 0;
  std::uint64_t journal_bytes = 0;
  std::vector<std::pair<HashAlg, Digest>> pcr_values;         // computed from the list, for each active bank
  std::vector<std::pair<std::uint64_t, Digest>> checkpoints;  // (records so far, PCR in the list's bank)
};

class ListSource {
 public:
  virtual ~ListSource() = default;
  virtual std::uint32_t Pcr() const = 0;
  virtual HashAlg ListBank() const = 0;
  virtual RecorderState State() const = 0;  // cheap; without checkpoints
  // Runs fn while the list explains the PCR exactly. fn may be called again if the PCR changed while it ran.
  virtual Result<> Quiesce(const std::function<Result<>(const RecorderState&)>& fn) = 0;
  // The descriptors are read-only and at offset 0. Later growth of the files can be read through them.
  virtual Result<UniqueFd> OpenList() const = 0;
  virtual Result<UniqueFd> OpenJournal() const = 0;
  // Offset of record n in the list file; n <= count.
  virtual Result<std::uint64_t> OffsetOf(std::uint64_t record) const = 0;
  virtual int GrowthFd() const = 0;  // an eventfd: readable after growth (for poll)
};

// PCR values along the list, by which a verifier finds the record that was tampered with. The last kExact
// values are all kept; of the earlier ones at most kThin, evenly spaced.
class Checkpoints {
 public:
  static constexpr std::size_t kExact = 256, kThin = 256;
  void Add(std::uint64_t records, const Digest& value);
  std::vector<std::pair<std::uint64_t, Digest>> All() const;  // ascending
  void Clear() { *this = {}; }

 private:
  std::deque<std::pair<std::uint64_t, Digest>> recent_;
  std::vector<std::pair<std::uint64_t, Digest>> thinned_;
  std::uint64_t stride_ = 1;
};

}  // namespace assay::measure
