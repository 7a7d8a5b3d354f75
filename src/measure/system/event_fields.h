// The fields of a log event about a file and the process that used it.
//
//   // given: const std::string& path, const Context& context
//   log::WriteEvent(log::Level::kWarn, "refused", EventFields(path, context), "refused " + path);
//
// Contract: docs/formats/log.md.
#pragma once

#include <string>
#include <vector>

#include "base/log_event.h"
#include "measure/system/measurement.h"

namespace assay::measure {

// path, process, user, program, and the control group where it is known.
std::vector<log::Field> EventFields(const std::string& path, const Context& context);

}  // namespace assay::measure
