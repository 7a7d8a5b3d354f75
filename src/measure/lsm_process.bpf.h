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
