// The measurement list that is quoted and shown, and the PCR that vouches for it: the recorder's own list, or
// the kernel's.
//
//   ASSAY_TRY(source.Quiesce([&](const RecorderState& s) { return quote(s); }));   // list and PCR agree
//   ASSAY_ASSIGN(UniqueFd list, source.OpenList());       // records up to s.list_bytes; it only grows
//
// Contract: the list file has columns of ListBank(), begins with record 0, grows and never changes. Safe from
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
  std::uint64_t overflow = 0;   // extended, but not kept
  std::uint64_t gaps = 0;       // restarts of the attester within this list
  bool degraded = false;        // TPM gone or list unwritable: nothing is recorded until it is mended
  std::string degraded_reason;  // an error's code and sentence
  std::uint64_t list_bytes = 0;
  std::uint64_t journal_bytes = 0;
  std::vector<std::pair<HashAlg, Digest>> pcr_values;         // as computed from the list, per active bank
  std::vector<std::pair<std::uint64_t, Digest>> checkpoints;  // (records so far, PCR in the list's bank)
};

class ListSource {
 public:
  virtual ~ListSource() = default;
  virtual std::uint32_t Pcr() const = 0;
  virtual HashAlg ListBank() const = 0;
  virtual RecorderState State() const = 0;  // cheap; without checkpoints
  // Runs fn when the list makes the PCR what it is, and sees to it that this holds while it runs: fn may be
  // called again where it did not.
  virtual Result<> Quiesce(const std::function<Result<>(const RecorderState&)>& fn) = 0;
  // Read-only, at offset 0; growth is seen through them.
  virtual Result<UniqueFd> OpenList() const = 0;
  virtual Result<UniqueFd> OpenJournal() const = 0;
  // Offset of record n in the list file; n <= count.
  virtual Result<std::uint64_t> OffsetOf(std::uint64_t record) const = 0;
  virtual int GrowthFd() const = 0;  // an eventfd: readable after growth (for poll)
};

// PCR values along the list, by which a verifier names what was tampered with: all of the last kExact
// records, and kThin at most of those before, evenly.
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
