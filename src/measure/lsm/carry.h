// Internal: what the programs in the kernel know besides the clean files, and a successor's programs take
// over at a handover: files in use, shared pages, devices open for writing, and the programs of running
// tasks.
//
//   // given: const UniqueFd& pins, bpf_object& fresh, assay_control& control
//   ASSAY_ASSIGN(const std::vector<UniqueFd> maps, CarriedMaps(pins.get()));   // the attester that leaves
//   ASSAY_TRY(CarryOver(maps, fresh, control));                                // its successor, once active
//
// Contract: both sets of programs are attached while CarryOver() runs, so what changes meanwhile reaches
// both. An error if the maps have another form than ours: StateError "engine.lsm-other".
#pragma once

#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "measure/lsm/bpf.h"
#include "measure/lsm/kernel/wire.h"

namespace assay::measure {

// pins: the folder with the pinned programs.
Result<std::vector<UniqueFd>> CarriedMaps(int pins);
Result<> CarryOver(const std::vector<UniqueFd>& from, bpf_object& to, assay_control& control);

}  // namespace assay::measure
