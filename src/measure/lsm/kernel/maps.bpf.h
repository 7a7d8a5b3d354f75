/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The maps, and the states that the hooks keep of inodes and tasks.
 */
#pragma once

/* The moment of a judgement. The judgement holds as long as all of these values stay the same. */
struct stamp {
  u64 seq;     /* write_seq + 1 */
  u64 raw_seq; /* assay_control.raw_seq */
  u64 epoch;   /* assay_control.epoch */
  u64 real;    /* overlayfs: the real inode, and its write_seq */
  u64 real_seq;
};

/* How much a change raises write_seq: new content counts in the lower half, a new name in the upper half. */
#define NEW_CONTENT 1ULL
#define NEW_NAME (1ULL << 32)

/* The state of an inode. docs/notes/2026-11-24-lsm-engine.md, "States". */
struct inode_state {
  u64 write_seq; /* this and the next two: struct assay_inode_head */
  u32 used;
  u32 program;
  struct stamp clean;     /* its content was measured */
  struct stamp data;      /* it was examined and is not code */
  struct stamp no_script; /* it is not code for interpreters that read any file as code either */
  u32 digest_busy;        /* a task writes the members below */
  u32 hook;               /* with which it shall be started: ASSAY_HOOK_* */
  struct stamp digest_at;
  u64 digest[ASSAY_DIGEST / 8]; /* digest measured at digest_at */
};

struct sha256 {
  u32 h[8];
  u32 w[16];
  u8 block[64];
};

struct task_state {
  u32 role; /* this and the next ones, until program_digest: struct assay_task_head */
  u32 reported;
  u32 reported_reasons;
  u32 reserved;
  u64 program;
  u64 program_digest[ASSAY_DIGEST / 8];
  u64 cover;     /* inode that was measured in the present exec though it can't become clean */
  u64 cover_seq; /* its write_seq + 1 then */
  u64 read;      /* inode that the kernel reads; its measured digest follows */
  u64 read_digest[ASSAY_DIGEST / 8];
  u64 found_digest[ASSAY_DIGEST / 8]; /* digest of the buffer that it was read into */
  u32 buffer;                         /* the digest of a buffer waits for a hook that may sleep */
  u32 buffer_detail;
  u64 buffer_size;
  u8 buffer_digest[ASSAY_DIGEST];
  struct sha256 sha;
};

#define SAME_PLACE(a, b, member) \
  _Static_assert(__builtin_offsetof(struct a, member) == __builtin_offsetof(struct b, member), #member)
SAME_PLACE(inode_state, assay_inode_head, used);
SAME_PLACE(inode_state, assay_inode_head, program);
SAME_PLACE(task_state, assay_task_head, reported_reasons);
SAME_PLACE(task_state, assay_task_head, program);
SAME_PLACE(task_state, assay_task_head, program_digest);

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

/* By the inode's address; removed with the inode. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 262144);
  __type(key, u64);
  __type(value, struct assay_real_state);
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

/* The state of an inode, which is made where there is none. Of two tasks that make it at the same moment the
 * kernel refuses one (-EAGAIN, -EEXIST: kernel/bpf/bpf_local_storage.c), which finds the other one's when it
 * looks again. */
static __always_inline struct inode_state* make_inode_state(struct inode* inode) {
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!s) s = bpf_inode_storage_get(&inodes, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!s) s = bpf_inode_storage_get(&inodes, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  return s;
}

static __always_inline bool is_active(const struct assay_control* c) { return c && c->active; }

static __always_inline bool in_scope(const struct assay_control* c) {
  return c->scope == 0 || bpf_get_current_cgroup_id() == c->scope;
}

/* The role of the task's thread group. */
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

/* Whether the attester makes this call only to check the hook. If so, the pulse is counted. */
static __always_inline bool is_probe(struct assay_control* c, u32 pulse) {
  if (!c || !c->probe || c->probe != (u32)bpf_get_current_pid_tgid()) return false;
  if (!(my_role() & ASSAY_ROLE_AGENT)) return false; /* the number of a thread that has ended may be reused */
  __sync_fetch_and_add(&c->pulses[pulse], 1);
  return true;
}

/* The same for a child without a role yet. The checking thread has no other child. */
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

/* Whether this program has already caused an event of this kind (and reason, if it has one), since one of
 * each is enough. */
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

/* Called when the attester can't be asked, or a state can't be kept, for lack of memory. The case is counted
 * and becomes a violation `unanswered`. */
static __always_inline int unasked(struct assay_control* c) {
  __sync_fetch_and_add(&c->unasked, 1);
  return c->refuse ? -ENOMEM : 0;
}

static __always_inline struct task_state* my_state(bool create) {
  return bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0,
                              create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}
