/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Ways around the kernel's protection: operations that lockdown=integrity would refuse, and the sysctl that
 * switches these hooks off.
 */
#pragma once

/* Whether it is the file of kernel.ftrace_enabled, in any mount of any proc. */
static __always_inline bool is_hooks_switch(struct dentry* dentry) {
  struct dentry* parent = BPF_CORE_READ(dentry, d_parent);
  return IS_NAMED(dentry, "ftrace_enabled") && IS_NAMED(parent, "kernel");
}

/* Called when a file in proc is opened for writing. */
static __always_inline void proc_opened(struct assay_control* c, struct file* file) {
  if (!c->active || !is_hooks_switch(file->f_path.dentry) || my_role()) return;
  struct assay_event* e = new_event(c, ASSAY_HOOKS_OFF, 0);
  if (!e) return;
  fill_program(e);
  bpf_ringbuf_submit(e, 0);
}

#define IS_REASON(what, name)                                           \
  (bpf_core_enum_value_exists(enum lockdown_reason, LOCKDOWN_##name) && \
   what == (int)bpf_core_enum_value(enum lockdown_reason, LOCKDOWN_##name))

/* The reasons that allow a task to write to the kernel's memory, or to make a device do it. Left out are
 * those that other hooks report (modules, kexec, /dev/mem), those that only allow reading, and those that
 * ordinary programs cause without using them: debugfs at each open, hibernation at each read of
 * /sys/power/state. */
static __always_inline u32 reason_of(int what) {
  if (IS_REASON(what, EFI_TEST)) return ASSAY_REASON_EFI_TEST;
  if (IS_REASON(what, PCI_ACCESS)) return ASSAY_REASON_PCI_ACCESS;
  if (IS_REASON(what, IOPORT)) return ASSAY_REASON_IOPORT;
  if (IS_REASON(what, MSR)) return ASSAY_REASON_MSR;
  if (IS_REASON(what, ACPI_TABLES)) return ASSAY_REASON_ACPI_TABLES;
  if (IS_REASON(what, DEVICE_TREE)) return ASSAY_REASON_DEVICE_TREE;
  if (IS_REASON(what, PCMCIA_CIS)) return ASSAY_REASON_PCMCIA_CIS;
  if (IS_REASON(what, TIOCSSERIAL)) return ASSAY_REASON_TIOCSSERIAL;
  if (IS_REASON(what, MODULE_PARAMETERS)) return ASSAY_REASON_MODULE_PARAMETERS;
  if (IS_REASON(what, MMIOTRACE)) return ASSAY_REASON_MMIOTRACE;
  if (IS_REASON(what, BPF_WRITE_USER)) return ASSAY_REASON_BPF_WRITE_USER;
  if (IS_REASON(what, DBG_WRITE_KERNEL)) return ASSAY_REASON_DBG_WRITE_KERNEL;
  return 0;
}

/* The kernel calls lockdown itself first, so this hook does not see what lockdown refuses. */
SEC("lsm/locked_down")
int BPF_PROG(on_locked_down, int what) {
  u32 reason = reason_of(what);
  struct assay_control* c = the_control();
  if (!reason || !is_active(c) || !in_scope(c) || my_role() || reported_before(ASSAY_LOCKDOWN, reason))
    return 0;
  struct assay_event* e = new_event(c, ASSAY_LOCKDOWN, reason);
  if (!e) return 0;
  fill_program(e);
  bpf_ringbuf_submit(e, 0);
  return 0;
}
