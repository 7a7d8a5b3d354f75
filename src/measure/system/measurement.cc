#include "measure/system/measurement.h"

namespace assay::measure {

std::string_view ViolationName(Violation v) {
  switch (v) {
    case Violation::kOpenWriters:
      return "open_writers";
    case Violation::kToMToU:
      return "ToMToU";
    case Violation::kMprotect:
      return "mprotect";
    case Violation::kModifiedCode:
      return "modified_code";
    case Violation::kAnonymousCode:
      return "anonymous_code";
    case Violation::kWritableCode:
      return "writable_code";
    case Violation::kProcessAccess:
      return "process_access";
    case Violation::kRawDevice:
      return "raw_device";
    case Violation::kKernelMemory:
      return "kernel_memory";
    case Violation::kKexecLoad:
      return "kexec_load";
    case Violation::kUnanswered:
      return "unanswered";
    case Violation::kGuarded:
      return "guarded";
    case Violation::kSharedWritable:
      return "shared_writable";
    case Violation::kUserfault:
      return "userfault";
    case Violation::kIdentity:
      return "identity";
    case Violation::kHooksOff:
      return "hooks_off";
    case Violation::kLockdown:
      return "lockdown";
    case Violation::kHooksSilent:
      return "hooks_silent";
    case Violation::kUnmeasurable:
      break;
  }
  return "unmeasurable";
}

}  // namespace assay::measure
