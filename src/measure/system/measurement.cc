#include "measure/system/measurement.h"

#include "base/name_table.h"

namespace assay::measure {

std::string_view ViolationName(Violation v) {
  static constexpr auto kNames = Names<Violation>({{Violation::kOpenWriters, "open_writers"},
                                                   {Violation::kToMToU, "ToMToU"},
                                                   {Violation::kUnmeasurable, "unmeasurable"},
                                                   {Violation::kMprotect, "mprotect"},
                                                   {Violation::kModifiedCode, "modified_code"},
                                                   {Violation::kAnonymousCode, "anonymous_code"},
                                                   {Violation::kWritableCode, "writable_code"},
                                                   {Violation::kProcessAccess, "process_access"},
                                                   {Violation::kRawDevice, "raw_device"},
                                                   {Violation::kKernelMemory, "kernel_memory"},
                                                   {Violation::kKexecLoad, "kexec_load"},
                                                   {Violation::kUnanswered, "unanswered"},
                                                   {Violation::kGuarded, "guarded"},
                                                   {Violation::kSharedWritable, "shared_writable"},
                                                   {Violation::kUserfault, "userfault"},
                                                   {Violation::kIdentity, "identity"},
                                                   {Violation::kHooksOff, "hooks_off"},
                                                   {Violation::kLockdown, "lockdown"},
                                                   {Violation::kHooksSilent, "hooks_silent"}});
  return kNames.Of(v);
}

}  // namespace assay::measure
