/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The measured digest of a program, for the events that it causes.
 */
#pragma once

static __always_inline bool same_stamp(const struct stamp* a, const struct stamp* b) {
  return a->seq == b->seq && a->raw_seq == b->raw_seq && a->epoch == b->epoch && a->real == b->real &&
         a->real_seq == b->real_seq;
}

/* Called after remember(). A task that finds another one here does nothing; the digest is then unknown. */
static __always_inline void keep_digest(struct look* l, const struct assay_answer* answer) {
  if (!(answer->flags & ASSAY_ANSWER_CLEAN) || !(answer->flags & ASSAY_ANSWER_DIGEST)) return;
  if (l->flags & (ASSAY_WRITERS | ASSAY_VOLATILE)) return;
  struct inode_state* s = l->state;
  if (__sync_val_compare_and_swap(&s->digest_busy, 0, 1) != 0) return;
  *(volatile u64*)&s->digest_at.seq = 0; /* matches no state of the inode */
  __asm__ volatile("" ::: "memory");
  __builtin_memcpy(s->digest, answer->digest, ASSAY_DIGEST);
  s->digest_at = l->at;
  __sync_val_compare_and_swap(&s->digest_busy, 1, 0);
}

/* Of what the present task executes: kept for the events that it causes later, when the file need no longer
 * be clean because storage has changed. A failed exec leaves the inode of another program, which is then not
 * the task's. */
static __always_inline void keep_program(struct task_state* t, const struct look* l, struct inode* inode,
                                         const struct assay_answer* answer) {
  t->program = 0;
  if (!(answer->flags & ASSAY_ANSWER_DIGEST)) return;
  if (l->flags & (ASSAY_WRITERS | ASSAY_VOLATILE | ASSAY_SHARED)) return;
  __builtin_memcpy(t->program_digest, answer->digest, ASSAY_DIGEST);
  t->program = (u64)inode;
}

/* Copies the digest only if the file is clean now and the digest belongs to this state. */
static __always_inline bool copy_digest(u8* to, struct inode* inode) {
  struct assay_control* c = the_control();
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  if (!c || !s || !is_clean(s, c, inode)) return false;
  if (!same_stamp(&s->digest_at, &s->clean) || *(volatile u32*)&s->digest_busy) return false;
  __builtin_memcpy(to, s->digest, ASSAY_DIGEST);
  /* The digest is dropped if another task began to write it in the meantime. */
  if (!*(volatile u32*)&s->digest_busy && same_stamp(&s->digest_at, &s->clean)) return true;
  __builtin_memset(to, 0, ASSAY_DIGEST);
  return false;
}

/* The digest of the present task's program, whose file this is. */
static __always_inline bool copy_program(u8* to, struct inode* inode) {
  if (copy_digest(to, inode)) return true;
  bool known = false;
  bpf_rcu_read_lock();
  struct task_struct* leader = bpf_get_current_task_btf()->group_leader;
  if (leader) {
    struct task_state* t = bpf_task_storage_get(&tasks, leader, 0, 0);
    if (t && t->program == (u64)inode) {
      __builtin_memcpy(to, t->program_digest, ASSAY_DIGEST);
      known = true;
    }
  }
  bpf_rcu_read_unlock();
  return known;
}

/* For hooks that run under a lock of a task, where bpf_get_task_exe_file() would take one more. The present
 * task holds its own memory, and the kernel frees neither the file nor its inode while this program runs
 * (RCU). If another thread exchanges the file meanwhile (PR_SET_MM), that is a violation of its own. */
static __always_inline struct inode* my_program(void) {
  struct mm_struct* mm = bpf_get_current_task_btf()->mm;
  struct file* program = mm ? mm->exe_file : NULL;
  return program ? program->f_inode : NULL;
}
