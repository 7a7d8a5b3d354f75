#include "measure/policy/policy.h"

namespace assay::measure {
namespace {

// Everything that can become code in a process or in the kernel, and the files that interpreters read.
#define ASSAY_CODE_RULES                    \
  "measure func=BPRM_CHECK mask=MAY_EXEC\n" \
  "measure func=MMAP_CHECK mask=MAY_EXEC\n" \
  "measure func=MODULE_CHECK\n"             \
  "measure func=FIRMWARE_CHECK\n"           \
  "measure func=KEXEC_KERNEL_CHECK\n"       \
  "measure func=KEXEC_INITRAMFS_CHECK\n"    \
  "measure func=POLICY_CHECK\n"             \
  "measure func=BPF_CHECK\n"

// Source: Linux 6.12 security/integrity/ima/ima_policy.c, dont_measure_rules, default_measurement_rules,
// default_appraise_rules; the magic numbers: include/uapi/linux/magic.h.
constexpr std::string_view kTcb =
    "dont_measure fsmagic=0x9fa0\n"                     // proc
    "dont_measure fsmagic=0x62656572\n"                 // sysfs
    "dont_measure fsmagic=0x64626720\n"                 // debugfs
    "dont_measure fsmagic=0x1021994 func=FILE_CHECK\n"  // tmpfs
    "dont_measure fsmagic=0x1cd1\n"                     // devpts
    "dont_measure fsmagic=0x42494e4d\n"                 // binfmt_misc
    "dont_measure fsmagic=0x73636673\n"                 // securityfs
    "dont_measure fsmagic=0xf97cff8c\n"                 // selinuxfs
    "dont_measure fsmagic=0x43415d53\n"                 // smackfs
    "dont_measure fsmagic=0x27e0eb\n"                   // cgroup
    "dont_measure fsmagic=0x63677270\n"                 // cgroup2
    "dont_measure fsmagic=0x6e736673\n"                 // nsfs
    "dont_measure fsmagic=0xde5e81e4\n"                 // efivarfs
    "measure func=MMAP_CHECK mask=MAY_EXEC\n"
    "measure func=BPRM_CHECK mask=MAY_EXEC\n"
    "measure func=FILE_CHECK mask=^MAY_READ euid=0\n"
    "measure func=FILE_CHECK mask=^MAY_READ uid=0\n"
    "measure func=MODULE_CHECK\n"
    "measure func=FIRMWARE_CHECK\n"
    "measure func=POLICY_CHECK\n";
constexpr std::string_view kAppraiseTcb =
    "dont_appraise fsmagic=0x9fa0\n"
    "dont_appraise fsmagic=0x62656572\n"
    "dont_appraise fsmagic=0x64626720\n"
    "dont_appraise fsmagic=0x1021994\n"
    "dont_appraise fsmagic=0x858458f6\n"  // ramfs
    "dont_appraise fsmagic=0x1cd1\n"
    "dont_appraise fsmagic=0x42494e4d\n"
    "dont_appraise fsmagic=0x73636673\n"
    "dont_appraise fsmagic=0xf97cff8c\n"
    "dont_appraise fsmagic=0x43415d53\n"
    "dont_appraise fsmagic=0x6e736673\n"
    "dont_appraise fsmagic=0xde5e81e4\n"
    "dont_appraise fsmagic=0x27e0eb\n"
    "dont_appraise fsmagic=0x63677270\n"
    "appraise fowner=0\n";

}  // namespace

std::optional<std::string_view> Policy::BuiltIn(std::string_view name) {
  if (name == "default") return ASSAY_CODE_RULES "measure func=FILE_CHECK mask=^MAY_READ interpreted=yes\n";
  if (name == "all_files") return ASSAY_CODE_RULES "measure func=FILE_CHECK mask=^MAY_READ\n";
  if (name == "exec") return ASSAY_CODE_RULES;
  if (name == "configuration") return "measure func=FILE_CHECK mask=^MAY_READ configuration=yes\n";
  if (name == "tcb") return kTcb;
  if (name == "appraise_tcb") return kAppraiseTcb;
  return std::nullopt;
}

}  // namespace assay::measure
