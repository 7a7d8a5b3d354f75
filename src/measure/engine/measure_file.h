// Measuring one file from the user's side, as an engine does it: lease, hash, record.
//
//   // given: const Context& context, Recorder& recorder
//   ASSAY_ASSIGN(const Recorded recorded, MeasurePath("/usr/bin/ls", context, recorder));
//
// Contract: content that can't be read, or that is open for writing, is recorded as a violation. The call
// blocks as long as the file's file system does.
#pragma once

#include <string>

#include "measure/engine/lanes.h"
#include "measure/record/recorder.h"

namespace assay::measure {

// Measures a file through a descriptor, as the engine does (lease, hash, record): for the `measure` node and
// for what ran before the engine. The path is the kernel's name for the descriptor, unless one is given.
// uses: the gate that is entered before the recorder is used. If its owner has closed it, the error is
// StateError "measure.late".
Result<Recorded> MeasureFd(int fd, const Context& context, Recorder& recorder, UseGate* uses = nullptr);
Result<Recorded> MeasurePath(const std::string& path, const Context& context, Recorder& recorder,
                             UseGate* uses = nullptr);

}  // namespace assay::measure
