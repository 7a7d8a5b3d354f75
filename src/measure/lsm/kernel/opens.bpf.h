/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Files opened to be read: by interpreters, or by anybody, as the policy asks. An inode that a program runs
 * from keeps what sort of interpreter it is (inode_state.program); the attester says so when the program is
 * executed, or at the first file that it opens.
 */
#pragma once

/* What the present task runs: 0: nobody has said yet. */
static __always_inline u32 opening_program(void) {
  struct file* file = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (!file) return ASSAY_PROGRAM_NONE; /* the kernel's own task */
  struct inode_state* s = bpf_inode_storage_get(&inodes, file->f_inode, 0, 0);
  u32 program = s ? s->program : 0;
  bpf_put_file(file);
  return program;
}

/* The same is what is known from now on. */
static __always_inline void learn_program(u32 program) {
  struct file* file = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (!file) return;
  struct inode_state* s = bpf_inode_storage_get(&inodes, file->f_inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (s) s->program = program;
  bpf_put_file(file);
}

/* The task's first words. Never waits for a page, which could be one that a user's file system serves, under
 * a lock of the folder that the file is in: what is not in memory can't be told. */
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

/* Whether it was found to be data, for programs of this sort. */
static __always_inline bool is_data_for(const struct inode_state* s, const struct assay_control* c,
                                        struct inode* inode, u32 program) {
  if (c->opens == ASSAY_OPENS_ALL) return is_data(s, c, inode);
  if (program == 0) return false;
  return program & ASSAY_PROGRAM_ANY ? holds(&s->no_script, s, c, inode) : is_data(s, c, inode);
}
