/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Files opened for reading, by interpreters, readers of configuration or all programs, as the policy
 * requires. The inode of a program stores which kind it is (inode_state.program). The attester tells the kind
 * when the program is executed, or at the first file that it opens.
 */
#pragma once

/* The kind of program that the present task runs; 0: not known yet. */
static __always_inline u32 opening_program(void) {
  struct file* file = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (!file) return ASSAY_PROGRAM_NONE; /* the kernel's own task */
  struct inode_state* s = bpf_inode_storage_get(&inodes, file->f_inode, 0, 0);
  u32 program = s ? s->program : 0;
  bpf_put_file(file);
  return program;
}

/* Stores the kind of the present task's program. */
static __always_inline void learn_program(u32 program) {
  struct file* file = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (!file) return;
  struct inode_state* s = make_inode_state(file->f_inode);
  if (s) s->program = program;
  bpf_put_file(file);
}

/* Copies the beginning of the task's command line. This never waits for a page, since a user's file system
 * could serve it and the kernel holds a lock of the file's folder here. So words that are not in memory are
 * unknown. */
static __always_inline void fill_words(struct assay_request* r) {
  struct mm_struct* mm = BPF_CORE_READ(bpf_get_current_task_btf(), mm);
  if (!mm) return;
  u64 begin = BPF_CORE_READ(mm, arg_start);
  u64 size = BPF_CORE_READ(mm, arg_end) - begin;
  u32 got = size < ASSAY_WORDS ? size : ASSAY_WORDS;
  if (bpf_probe_read_user(r->words, got, (const void*)begin)) return;
  r->words_size = got;
  if (size > ASSAY_WORDS) r->flags |= ASSAY_WORDS_CUT;
}

/* Whether the file is known to be data for programs of this kind. */
static __always_inline bool is_data_for(const struct inode_state* s, const struct assay_control* c,
                                        struct inode* inode, u32 program) {
  if (c->opens == ASSAY_OPENS_ALL) return is_data(s, c, inode);
  if (program == 0 || program & ASSAY_PROGRAM_READER) return false; /* it depends on the file's path */
  return program & ASSAY_PROGRAM_ANY ? holds(&s->no_script, s, c, inode) : is_data(s, c, inode);
}
