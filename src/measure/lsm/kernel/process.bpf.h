/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Access of one process to the memory of another. The pages belong to the process, so no inode's state
 * changes.
 */
#pragma once

/* Adds the digest of the present task's program, under the locks of these hooks. */
static __always_inline void fill_tracer(struct assay_event* e, struct inode* program) {
  if (program && copy_program(e->program, program)) e->flags |= ASSAY_EVENT_PROGRAM;
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(on_ptrace, struct task_struct* child, unsigned int mode) {
  struct assay_control* c = the_control();
  if (is_probe(c, ASSAY_PULSE_PTRACE)) return 0;
  int refused = guard_ptrace(c, child, mode);
  if (refused) return refused;
  if (!(mode & PTRACE_MODE_ATTACH) || !is_active(c) || !in_scope(c) || my_role()) return 0;
  struct assay_event* e = new_event(c, ASSAY_PROCESS_ACCESS, mode);
  if (!e) return 0;
  e->target = child->tgid;
  fill_tracer(e, my_program());
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* The other direction: a child allows its parent to write to its memory. The parent's memory may be freed at
 * any time, so its program is only compared, as a number: a debugger's child asks before it executes
 * anything, and then both run the same program. */
SEC("lsm/ptrace_traceme")
int BPF_PROG(on_traceme, struct task_struct* parent) {
  struct assay_control* c = the_control();
  if (!is_active(c) || !in_scope(c)) return 0;
  struct assay_event* e = new_event(c, ASSAY_PROCESS_ACCESS, PTRACE_MODE_ATTACH);
  if (!e) return 0;
  e->target = e->tgid;
  e->tgid = parent->tgid;
  struct inode* program = my_program();
  if ((u64)BPF_CORE_READ(parent, mm, exe_file, f_inode) == (u64)program) fill_tracer(e, program);
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* Memory that becomes executable without a request for that: under READ_IMPLIES_EXEC, which personality()
 * sets and 32-bit programs without a stack header have, brk() and the stack reach only this hook for
 * addresses. */
SEC("lsm/mmap_addr")
int BPF_PROG(on_mmap_addr, unsigned long address) {
  if (!(bpf_get_current_task_btf()->personality & READ_IMPLIES_EXEC)) return 0;
  struct assay_control* c = the_control();
  if (is_active(c)) tell_memory(c, ASSAY_WRITABLE_CODE, address);
  return 0;
}

/* A task can set its /proc/PID/exe to another program's file. (systemd sets only its arguments, which is just
 * a title.) The event is sent before the change, so that it names the true program. ENOSYS is this hook's
 * result for 'go on'. */
SEC("lsm/task_prctl")
int BPF_PROG(on_prctl, int option, unsigned long what) {
  if (option != PR_SET_MM || (what != PR_SET_MM_EXE_FILE && what != PR_SET_MM_MAP)) return -ENOSYS;
  struct assay_control* c = the_control();
  if (is_active(c)) tell_memory(c, ASSAY_IDENTITY, 0);
  return -ENOSYS;
}

/* ioctl() from a 32-bit program; on_ioctl sees all others. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(on_ioctl_compat, struct file* file, unsigned int command) {
  told_by_ioctl(file, command);
  return 0;
}
