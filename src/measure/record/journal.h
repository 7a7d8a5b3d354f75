// The recorder's side journal: which process loaded each entry of the list.
//
//   // given: ByteView file, std::uint64_t first_record
//   ASSAY_ASSIGN(JournalPart part, ParseJournal(file, first_record));
//   for (const JournalEntry& entry : part.entries) log::Info("{} {}", entry.index, entry.context.comm);
//
// Contract: docs/formats/state.md, "journal". Little-endian. Not covered by the PCR; its bytes are bound into
// the quote's qualifying data. A torn last entry (the process died while writing) is not an error: `whole`
// says where it begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct JournalEntry {
  std::uint64_t index = 0;  // record in the list
  std::uint32_t sub = 0;    // position within a group, else 0
  Context context;
};
Bytes EncodeJournal(const JournalEntry& entry);

struct JournalPart {
  std::vector<JournalEntry> entries;  // from `first` on
  std::uint64_t whole = 0;            // bytes that are whole entries
};
Result<JournalPart> ParseJournal(ByteView bytes, std::uint64_t first);

}  // namespace assay::measure
