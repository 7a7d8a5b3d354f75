// Internal to the rooms list and appraise: what the PCR was extended with, for many records at once.
//
//   // given: const std::vector<RecordView>& records
//   std::vector<Digest> values;
//   ExtendValues(HashAlg::kSha256, records, BankHash::kOwn, values);
//
// Contract: values[i] is ExtendValue() (list.h) of records[i].
#pragma once

#include <span>
#include <vector>

#include "list/list.h"

namespace assay::ima {

void ExtendValues(HashAlg bank, std::span<const RecordView> records, BankHash how, std::vector<Digest>& out);

}  // namespace assay::ima
