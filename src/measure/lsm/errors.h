// The lsm engine's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::measure {

enum class LsmError {
  kInactive,
  kKernelFunction,
  kBtf,
  kPidNamespace,
  kPermission,
  kLoad,
  kPins,
  kOther,
  kGate,
  kIdentify,
  kLoss,
  kHooksSilent,
  kFile
};
inline constexpr ErrorRow kLsmErrors[] = {
    {LsmError::kInactive, "engine.lsm-inactive",
     "Boot with bpf in lsm=, for example lsm=landlock,lockdown,yama,integrity,apparmor,bpf (Debian: "
     "GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)."},
    {LsmError::kKernelFunction, "engine.lsm-kernel-function",
     "Use Linux 6.12 or later (Debian 12: linux-image-amd64 of bookworm-backports)."},
    {LsmError::kBtf, "engine.lsm-btf", "Use a kernel with CONFIG_DEBUG_INFO_BTF, as Debian's are."},
    {LsmError::kPidNamespace, "engine.lsm-pid-namespace",
     "Run assayd on the machine itself, not in a container."},
    {LsmError::kPermission, "engine.lsm-permission",
     "Run as root with CAP_BPF, CAP_SYS_ADMIN and CAP_PERFMON, outside of containers."},
    {LsmError::kLoad, "engine.lsm-load", "Report it: the message has what the kernel's verifier says."},
    {LsmError::kPins, "engine.lsm-pins",
     "Suspect root on this machine: the pins in bpffs are not assayd's; it loads its programs anew."},
    {LsmError::kOther, "engine.lsm-other", "Nothing: programs of another build or policy are replaced."},
    {LsmError::kGate, "engine.lsm-gate", "Restart assayd; docs/debugging.md, \"a stuck gate\"."},
    {LsmError::kIdentify, "engine.lsm-identify",
     "Report it: this kernel does not answer the request that tells files apart."},
    {LsmError::kLoss, "engine.lsm-loss",
     "Find out what starts so many programs at once; reboot for a list without a violation."},
    {LsmError::kHooksSilent, "engine.hooks-silent",
     "Suspect root on this machine: something switched the hooks off; reboot."},
    {LsmError::kFile, "engine.lsm-file", "Nothing: the file is gone, and is recorded as a violation."},
};
constexpr std::span<const ErrorRow> ErrorTable(LsmError) { return kLsmErrors; }

}  // namespace assay::measure
