// Whether the kernel's own IMA measures by a policy, so that PCR 10 is not free.
//
//   if (KernelImaRecords() > 1) log::Warn("PCR 10 is taken");
//
// Contract: reads securityfs. Source: security/integrity/ima/ima_fs.c, runtime_measurements_count.
#pragma once

#include <cstdint>

namespace assay::measure {

inline constexpr std::uint32_t kKernelImaPcr = 10;  // CONFIG_IMA_MEASURE_PCR_IDX, as distributions have it

// The records of the kernel's list; 0: it has none, or it can't be read. A kernel that has no policy makes
// one record, boot_aggregate.
std::uint64_t KernelImaRecords();

}  // namespace assay::measure
