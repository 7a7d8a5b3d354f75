// Internal: the recorder's small state files, as bytes.
//
//   // given: ByteView overflow, Bytes& pending
//   ASSAY_ASSIGN(OverflowState state, ParseOverflow(overflow));
//   pending.resize(WholeEntries(pending));               // a pending group without its torn tail
//
// Contract: docs/formats/state.md, "overflow" and "pending.N". Little-endian; bounded, no allocation by a
// length found in the input.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"

namespace assay::measure {

// The state of a full list: what the PCR was before the last entry, and what it was extended with.
struct OverflowState {
  struct Bank {
    Digest before, extend;
  };
  std::uint64_t overflow = 0, entries = 0, violations = 0;  // the last entry included
  std::vector<Bank> banks;
};
Bytes EncodeOverflow(const OverflowState& state);
Result<OverflowState> ParseOverflow(ByteView bytes);

// How many bytes of a pending group are whole entries: u32 name_len | name | u32 data_len | data, repeated.
std::size_t WholeEntries(ByteView pending);

}  // namespace assay::measure
