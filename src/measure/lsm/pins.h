// Internal: whether the programs and maps that are pinned under our names are those that this attester would
// load, attached where it would attach them.
//
//   // given: bpf_object& fresh
//   ASSAY_TRY(CheckPins("/run/assayd/engine/bpf", fresh, {"control", "missed"}));
//
// Contract: `fresh` is loaded in this kernel, not attached. Each of its loaded programs must have a pinned
// link NAME of LSM type at the same kernel function, to a program with the same instructions, which use the
// same maps in the same places: those that are pinned, and for others one for each of ours, alike in form and
// (constants) in content. StateError "engine.lsm-pins" says which one does not fit, and begins with its pin's
// name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "measure/lsm/bpf.h"

namespace assay::measure {

Result<> CheckPins(const std::string& dir, bpf_object& fresh, const std::vector<std::string>& maps);

}  // namespace assay::measure
