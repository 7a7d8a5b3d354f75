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

/* Sets the digest only if the file is clean now and the digest belongs to this state. */
static __always_inline void fill_digest(struct assay_event* e, struct inode* inode) {
  struct assay_control* c = the_control();
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  if (!c || !s || !is_clean(s, c, inode)) return;
  if (!same_stamp(&s->digest_at, &s->clean) || *(volatile u32*)&s->digest_busy) return;
  __builtin_memcpy(e->program, s->digest, ASSAY_DIGEST);
  /* The digest is dropped if another task began to write it in the meantime. */
  if (*(volatile u32*)&s->digest_busy || !same_stamp(&s->digest_at, &s->clean)) {
    __builtin_memset(e->program, 0, ASSAY_DIGEST);
    return;
  }
  e->flags |= ASSAY_EVENT_PROGRAM;
}
