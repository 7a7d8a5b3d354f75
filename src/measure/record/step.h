// Internal: one record on its way into the list and the PCR.
//
//   // given: const Context& context, const Content& content, ByteView record, const Values& extends
//   Step step;
//   step.record = ToBytes(record);
//   step.extends = extends;
//   step.contents.push_back(content);
//   step.journal.push_back({.index = 0, .sub = 0, .context = context});
//
// Contract: a plain value. docs/formats/list.md ("Recording")
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "measure/record/contents.h"
#include "measure/record/journal.h"

namespace assay::measure {

using Values = std::vector<Digest>;  // one for each active bank, in the TPM's order

enum class Meaning { kContent, kViolation, kStart };  // kStart: an attester was started

struct Step {
  Bytes record;
  Values extends;                     // what the PCR is extended with
  Values next;                        // what the PCR then becomes; set when the record is written
  std::vector<Content> contents;      // known once the record is in the PCR
  std::vector<JournalEntry> journal;  // `index` is set when the record is in the PCR
  std::string pending;                // a group's write-ahead file; removed once the record is in the PCR
  std::uint64_t entries = 1;
  std::uint64_t violations = 0;
  bool start = false;
  bool kept = true;  // false: the list is full, and only the PCR gets it
};

}  // namespace assay::measure
