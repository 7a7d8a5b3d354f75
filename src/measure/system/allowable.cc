#include "measure/system/allowable.h"

#include <array>

#include "measure/system/measurement.h"

namespace assay::measure {

std::span<const std::string_view> AllowableKinds() {
  static const std::array kKinds{ViolationName(Violation::kMprotect),
                                 ViolationName(Violation::kModifiedCode),
                                 ViolationName(Violation::kAnonymousCode),
                                 ViolationName(Violation::kWritableCode),
                                 ViolationName(Violation::kProcessAccess),
                                 ViolationName(Violation::kRawDevice),
                                 kBpfProgramKind};
  return kKinds;
}

}  // namespace assay::measure
