/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Maps, and what the hooks remember of inodes and tasks.
 */
#pragma once

/* When something was judged; it holds for as long as all of this stays. */
struct stamp {
  u64 seq;     /* write_seq + 1 */
  u64 raw_seq; /* assay_control.raw_seq */
  u64 epoch;   /* assay_control.epoch */
  u64 real;    /* overlayfs: the real inode, and its write_seq */
  u64 real_seq;
};

/* What raises a write_seq, and by how much: a new content counts in the lower half, a new name in the upper.
 */
#define NEW_CONTENT 1ULL
#define NEW_NAME (1ULL << 32)

/* Of an inode. docs/notes/2026-11-24-lsm-engine.md, "States". */
struct inode_state {
  u64 write_seq;          /* raised by whatever may change content or name */
  struct stamp clean;     /* what is in it was measured */
  struct stamp data;      /* it was looked at, and is not code */
  struct stamp no_script; /* nor is it to interpreters that take any file for code */
  u32 program;            /* what sort of interpreter it is: ASSAY_PROGRAM_*; 0: not known */
  u32 used;               /* it was measured, and nobody has been told of a writer since */
  u32 digest_busy;        /* somebody writes what follows */
  u32 reserved;
  struct stamp digest_at;
  u64 digest[ASSAY_DIGEST / 8]; /* of what was measured then */
};

/* Of an inode that holds the data of an overlayfs one, or that was mapped shared and writable. */
struct real_state {
  u64 write_seq;
  u32 used;     /* through overlayfs */
  u32 shared;   /* raised when it is mapped shared and writable */
  u32 unpinned; /* the same, when nobody was found to hold its pages */
  u32 reserved;
};

struct sha256 {
  u32 h[8];
  u32 w[16];
  u8 block[64];
};

struct task_state {
  u32 role;             /* ASSAY_ROLE_*: on the thread group's leader */
  u32 reported;         /* kinds of events that this program has caused already: on the leader */
  u32 reported_reasons; /* ... and reasons of ASSAY_LOCKDOWN */
  u64 cover;     /* this inode was measured in the exec that is going on, though it can't become clean */
  u64 cover_seq; /* its write_seq + 1 then */
  u64 read;      /* the kernel reads this inode; its measured digest: */
  u64 read_digest[ASSAY_DIGEST / 8];
  u64 found_digest[ASSAY_DIGEST / 8]; /* of the buffer that it was read into */
  u32 buffer;                         /* a buffer's digest waits for a hook that may sleep */
  u32 buffer_detail;
  u64 buffer_size;
  u8 buffer_digest[ASSAY_DIGEST];
  struct sha256 sha;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct assay_control);
} control SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_INODE_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct inode_state);
} inodes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct task_state);
} tasks SEC(".maps");

/* By thread id, while the thread waits. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, struct assay_request);
} requests SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 16384);
  __type(key, struct assay_missed_key);
  __type(value, struct assay_missed);
} missed SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);
  __type(key, struct assay_own_file);
  __type(value, u32);
} own_files SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);
  __type(key, struct assay_object);
  __type(value, u32);
} own_objects SEC(".maps");

/* Block devices open for writing, by the file's address. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 4096);
  __type(key, u64);
  __type(value, u32);
} raw_files SEC(".maps");

/* By the inode's address, for as long as there is one. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 262144);
  __type(key, u64);
  __type(value, struct real_state);
} real_inodes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4 << 20);
} events SEC(".maps");

extern struct task_struct* bpf_task_from_pid(__s32 pid) __ksym;
extern void bpf_task_release(struct task_struct* task) __ksym;
extern struct file* bpf_get_task_exe_file(struct task_struct* task) __ksym;
extern void bpf_put_file(struct file* file) __ksym;
extern int bpf_path_d_path(struct path* path, char* buffer, size_t buffer__sz) __ksym;
extern int bpf_get_file_xattr(struct file* file, const char* name__str, struct bpf_dynptr* value) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

static __always_inline struct assay_control* the_control(void) {
  u32 zero = 0;
  return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline bool is_active(const struct assay_control* c) { return c && c->active; }

static __always_inline bool in_scope(const struct assay_control* c) {
  return c->scope == 0 || bpf_get_current_cgroup_id() == c->scope;
}

/* Of its thread group. */
static __always_inline u32 role_of(struct task_struct* task) {
  u32 role = 0;
  bpf_rcu_read_lock();
  struct task_struct* leader = task->group_leader;
  if (leader) {
    struct task_state* t = bpf_task_storage_get(&tasks, leader, 0, 0);
    if (t) role = t->role;
  }
  bpf_rcu_read_unlock();
  return role;
}

static __always_inline u32 my_role(void) { return role_of(bpf_get_current_task_btf()); }

/* Whether the attester does this only to learn that the hook is called; counted if so. */
static __always_inline bool is_probe(struct assay_control* c, u32 pulse) {
  if (!c || !c->probe || c->probe != (u32)bpf_get_current_pid_tgid()) return false;
  if (!(my_role() & ASSAY_ROLE_AGENT)) return false; /* a dead one's number has a new owner */
  __sync_fetch_and_add(&c->pulses[pulse], 1);
  return true;
}

/* The same of a child that has no mark yet: the thread that asks has no other. */
static __always_inline bool is_probe_child(struct assay_control* c, u32 pulse) {
  u32 asking = c->probe;
  if (!asking || (u32)BPF_CORE_READ(bpf_get_current_task_btf(), real_parent, pid) != asking) return false;
  struct task_struct* parent = bpf_task_from_pid(asking);
  if (!parent) return false;
  u32 role = role_of(parent);
  bpf_task_release(parent);
  if (!(role & ASSAY_ROLE_AGENT)) return false;
  __sync_fetch_and_add(&c->pulses[pulse], 1);
  return true;
}

/* Whether this program caused an event of this kind (and for this reason, if it has one) before: one of each
 * is enough. */
static __always_inline bool reported_before(u32 kind, u32 reason) {
  bool before = false;
  bpf_rcu_read_lock();
  struct task_struct* leader = bpf_get_current_task_btf()->group_leader;
  if (leader) {
    struct task_state* t = bpf_task_storage_get(&tasks, leader, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (t && reason)
      before = __sync_fetch_and_or(&t->reported_reasons, 1U << (reason & 31)) & 1U << (reason & 31);
    else if (t)
      before = __sync_fetch_and_or(&t->reported, 1U << (kind & 31)) & 1U << (kind & 31);
  }
  bpf_rcu_read_unlock();
  return before;
}

/* For want of memory nobody can be asked, or what was asked can't be kept: it is counted, and told as
 * violation `unanswered`. */
static __always_inline int unasked(struct assay_control* c) {
  __sync_fetch_and_add(&c->unasked, 1);
  return c->refuse ? -ENOMEM : 0;
}

static __always_inline struct task_state* my_state(bool create) {
  return bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0,
                              create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}
