// Internal: the attester's program, which the commands ask for what only it contains.
//
//   log::Info("{} --probe says which engines work", AttesterProgram());
//
// Contract: the path of assayd beside assay, as in a build tree, or in the sbin folder next to it; else its
// name, which is then found by PATH.
#pragma once

#include <string>

namespace assay::cli {

std::string AttesterProgram();

}  // namespace assay::cli
