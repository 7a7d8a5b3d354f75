// How long the TPM takes for the extends of this process's recorder.
//
//   const ExtendTimes t = TimesOfExtends();
//   log::Info("{} extends took {} us, the longest {} us", t.count, t.total_us, t.longest_us);
//
// Contract: since the start of the process; any thread may ask. An extend that failed counts as well, because
// tasks waited for it.
#pragma once

#include <cstdint>

namespace assay::measure {

struct ExtendTimes {
  std::uint64_t count = 0, total_us = 0, longest_us = 0;
};
ExtendTimes TimesOfExtends();

}  // namespace assay::measure
