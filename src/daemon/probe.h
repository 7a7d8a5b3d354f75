// Which engines work on this machine: `assayd --probe`, which `assay doctor` runs.
//
//   fmt::print("{}\n", ProbeEngines());   // [{"engine": "lsm", "works": true, "text": "..."}, ...]
//
// Contract: the best engine comes first. An engine that does not work has "code" and, in "text", the reason.
// The function loads the engines' parts into the kernel and removes them again; nothing is measured by them.
#pragma once

#include <string>

namespace assay::daemon {

std::string ProbeEngines();  // JSON

}  // namespace assay::daemon
