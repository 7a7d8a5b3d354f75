// Internal: one look at the kernel's list on a kernel whose list other programs may stage and delete
// (CONFIG_IMA_STAGING, since Linux 7.2), and where an earlier look goes on in it.
//
//   // given: const std::string& current
//   if (CanBeStaged(current)) {
//     ASSAY_ASSIGN(Bytes list, ReadSnapshot(current));
//     log::Info("{} bytes, staged records first", list.size());
//   }
//
// Contract: the records that are staged come first, then the others, as they were added. No record is lost or
// doubled between the two, because the kernel lets nobody stage or delete while a reader has a file open. A
// program that has one open for writing keeps readers out; after kWriterPatience this is StateError
// "kernel-ima.in-use", which names the program. Source: Linux 7.3 security/integrity/ima/ima_fs.c
// (ima_measure_lock), ima_queue.c.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/result.h"

namespace assay::measure {

inline constexpr std::chrono::milliseconds kWriterPatience{500};

std::string StagedFile(const std::string& current);  // its name: "..._staged"
bool CanBeStaged(const std::string& current);
// Nobody can stage or delete while the descriptor is open.
Result<UniqueFd> OpenShared(const std::string& path);
Result<Bytes> ReadSnapshot(const std::string& current);

// The positions in `known` from which on it is the beginning of `found`, ascending. The last one is
// known.size(): nothing of `found` is known. Each record stands for itself by a digest of what it says.
std::vector<std::size_t> JoinsOf(std::span<const Digest> known, std::span<const Digest> found);

}  // namespace assay::measure
