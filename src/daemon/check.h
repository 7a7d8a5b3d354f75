// Tries what a start would try, without changing anything: `assayd --check`.
//
//   // given: const std::string& config_path
//   for (const Error& e : CheckStart(config_path)) log::Error("{}", e.Message());
//
// Contract: if there is no problem, a start with this configuration finds what it needs. Nothing is written,
// no list and no PCR is touched, and no object of a TPM is flushed. While an attester runs on this machine,
// it does not try what only one process can have (addresses, the software TPM, an engine). Without root only
// the configuration itself is checked, and "assayd.not-root" says so.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace assay::daemon {

std::vector<Error> CheckStart(const std::string& config_path);

}  // namespace assay::daemon
