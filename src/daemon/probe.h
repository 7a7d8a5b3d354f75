// Which engines work on this machine: `assayd --probe`, which `assay doctor` runs.
//
//   fmt::print("{}\n", ProbeEngines());   // [{"engine": "lsm", "works": true, "text": "..."}, ...]
//
// Contract: engines are told best first. One that does not work has "code" and, in "text", the reason. To
// find out, the engines' parts are loaded into the kernel and removed again; nothing is measured by them.
#pragma once

#include <string>

namespace assay::daemon {

std::string ProbeEngines();  // JSON

}  // namespace assay::daemon
