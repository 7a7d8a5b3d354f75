/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * One process reaching into another's memory. The pages are the process's own: no inode's state is concerned.
 */
#pragma once

SEC("lsm/ptrace_access_check")
int BPF_PROG(on_ptrace, struct task_struct* child, unsigned int mode, int ret) {
  struct assay_control* c = the_control();
  if (is_probe(c, ASSAY_PULSE_PTRACE)) return ret;
  if (ret || !(mode & PTRACE_MODE_ATTACH) || !is_active(c) || !in_scope(c) || my_role()) return ret;
  struct assay_event* e = new_event(c, ASSAY_PROCESS_ACCESS, mode);
  if (!e) return 0;
  e->target = child->tgid;
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* The other direction: a child lets its parent write to it. */
SEC("lsm/ptrace_traceme")
int BPF_PROG(on_traceme, struct task_struct* parent, int ret) {
  struct assay_control* c = the_control();
  if (ret || !is_active(c) || !in_scope(c)) return ret;
  struct assay_event* e = new_event(c, ASSAY_PROCESS_ACCESS, PTRACE_MODE_ATTACH);
  if (!e) return 0;
  e->target = e->tgid;
  e->tgid = parent->tgid;
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* Memory that becomes executable though nobody asks for it: under READ_IMPLIES_EXEC, which personality() sets
 * and 32-bit programs without a header for their stack have, brk() and the stack come by no other hook than
 * the one for addresses. */
SEC("lsm/mmap_addr")
int BPF_PROG(on_mmap_addr, unsigned long address) {
  if (!(bpf_get_current_task_btf()->personality & READ_IMPLIES_EXEC)) return 0;
  struct assay_control* c = the_control();
  if (is_active(c)) tell_memory(c, ASSAY_WRITABLE_CODE, address);
  return 0;
}

/* /proc/PID/exe can be set to another program's. (Arguments alone, as systemd does, change no more than a
 * title.) It is told before, with the program that does it. The hook's answer for 'go on' is ENOSYS. */
SEC("lsm/task_prctl")
int BPF_PROG(on_prctl, int option, unsigned long what) {
  if (option != PR_SET_MM || (what != PR_SET_MM_EXE_FILE && what != PR_SET_MM_MAP)) return -ENOSYS;
  struct assay_control* c = the_control();
  if (is_active(c)) tell_memory(c, ASSAY_IDENTITY, 0);
  return -ENOSYS;
}

/* From a 32-bit system call; on_ioctl sees the others. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(on_ioctl_compat, struct file* file, unsigned int command) {
  told_by_ioctl(file, command);
  return 0;
}
