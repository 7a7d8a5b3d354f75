// Internal: whether a file lies where its package has it.
//
//   // given: const Origin& origin
//   const bool here = IsPlaceOf(origin, NormalisePath("/var/lib/dpkg/tmp.ci/preinst"));
//
// Contract: a file has the path of its package, with merged /usr and '_' for a blank. A maintainer script
// also runs from the folders into which dpkg and debconf unpack it before its package is installed.
#pragma once

#include <string_view>

#include "appraise/appraise.h"

namespace assay::appraise {

// here: a normalised path.
bool IsPlaceOf(const Origin& origin, std::string_view here);

}  // namespace assay::appraise
