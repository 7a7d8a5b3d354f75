/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Requests to the attester, which wait for its answer, and events, which do not wait.
 */
#pragma once

static const struct assay_request empty_request;
static const struct assay_missed empty_missed;

static __always_inline void fill_who(u32* tid, u32* tgid, u32* uid, char* comm) {
  u64 id = bpf_get_current_pid_tgid();
  *tid = id;
  *tgid = id >> 32;
  *uid = bpf_get_current_uid_gid();
  bpf_get_current_comm(comm, ASSAY_COMM);
}

/* Makes the request of the present thread in the map; null: no memory. */
static __always_inline struct assay_request* new_request(u32 kind, u32 detail) {
  u32 tid = bpf_get_current_pid_tgid();
  if (bpf_map_update_elem(&requests, &tid, &empty_request, BPF_ANY)) return NULL;
  struct assay_request* r = bpf_map_lookup_elem(&requests, &tid);
  if (!r) return NULL;
  fill_who(&r->tid, &r->tgid, &r->uid, r->comm);
  struct task_struct___cred* me = (void*)bpf_get_current_task_btf();
  r->euid = BPF_CORE_READ(me, cred, euid.val);
  r->gid = bpf_get_current_uid_gid() >> 32;
  r->egid = BPF_CORE_READ(me, cred, egid.val);
  r->kind = kind;
  r->detail = detail;
  r->since = bpf_ktime_get_ns();
  r->cgroup = bpf_get_current_cgroup_id();
  return r;
}

/* The gate's program file, which the caller must put; null: no attester runs. */
static __always_inline struct file* gate_program(const struct assay_control* c) {
  struct task_struct* gate = bpf_task_from_pid(c->gate);
  if (!gate) return NULL;
  /* The number may be reused after the gate has ended, but the role ends with its task. */
  struct task_state* mark = bpf_task_storage_get(&tasks, gate, 0, 0);
  struct file* file = mark && mark->role & ASSAY_ROLE_GATE ? bpf_get_task_exe_file(gate) : NULL;
  bpf_task_release(gate);
  return file;
}

/* Whether the attester itself serves the file, so that a request would make it wait for itself. The device
 * number may be reused after the attester has ended, so the gate must run. */
static __always_inline bool is_served_by_attester(const struct assay_control* c, struct inode* inode) {
  if (!c->own_dev || inode->i_sb->s_dev != c->own_dev) return false;
  struct file* gate = gate_program(c);
  if (!gate) return false;
  bpf_put_file(gate);
  return true;
}

static __always_inline struct mount* mount_of(struct file* file) {
  return (void*)BPF_CORE_READ(file, f_path.mnt) - bpf_core_field_offset(struct mount, mnt);
}

/* The mount's number as in /proc/PID/fdinfo. */
static __always_inline u32 mount_number(struct file* file) { return BPF_CORE_READ(mount_of(file), mnt_id); }

/* Whether overlayfs itself opens the file, in an internal mount that no process can reach. The overlayfs file
 * has already been asked about. Source: fs/mount.h, MNT_NS_INTERNAL. */
static __always_inline bool is_backing(struct file* file) {
  return (long)BPF_CORE_READ(mount_of(file), mnt_ns) == -EINVAL &&
         !(file->f_inode->i_sb->s_flags & SB_KERNMOUNT);
}

/* Whether the task's root is the attester's. It is only a hint: the attester still checks whether the file
 * that it opened is the right one. */
static __always_inline bool has_attesters_root(const struct assay_control* c) {
  struct task_struct* attester = bpf_task_from_pid(c->attester);
  if (!attester) return false;
  struct task_struct* me = bpf_get_current_task_btf();
  bool same = BPF_CORE_READ(me, fs, root.mnt) == BPF_CORE_READ(attester, fs, root.mnt) &&
              BPF_CORE_READ(me, fs, root.dentry) == BPF_CORE_READ(attester, fs, root.dentry);
  bpf_task_release(attester);
  return same;
}

/* Sends the request and sleeps until the answer. 0: answered. */
static __always_inline int ask(struct assay_control* c, struct assay_request* r,
                               struct assay_answer* answer) {
  struct file* file = gate_program(c);
  if (!file) return -1;
  struct bpf_dynptr value;
  bpf_dynptr_from_mem(r->answer, sizeof(r->answer), 0, &value);
  u64 from = bpf_ktime_get_ns();
  int got = bpf_get_file_xattr(file, ASSAY_XATTR, &value);
  bpf_put_file(file);
  __sync_fetch_and_add(&c->requests, 1);
  __sync_fetch_and_add(&c->wait_ns, bpf_ktime_get_ns() - from);
  if (got == -EINTR) return -EINTR;
  if (got != sizeof(*answer)) return -1;
  __builtin_memcpy(answer, r->answer, sizeof(*answer));
  return 0;
}

/* Keeps a load without an answer for the next attester. */
static __always_inline void note_missed(struct assay_control* c, const struct assay_request* r,
                                        const struct assay_missed_key* key) {
  __sync_fetch_and_add(&c->missed, 1);
  struct assay_missed* m = bpf_map_lookup_elem(&missed, key);
  if (!m) {
    if (bpf_map_update_elem(&missed, key, &empty_missed, BPF_NOEXIST) == 0)
      m = bpf_map_lookup_elem(&missed, key);
    if (!m) {
      __sync_fetch_and_add(&c->missed_unnamed, 1);
      return;
    }
    m->cgroup = r->cgroup;
    m->tgid = r->tgid;
    m->uid = r->uid;
    __builtin_memcpy(m->comm, r->comm, sizeof(m->comm));
    __builtin_memcpy(m->path, r->path, sizeof(m->path));
  }
  __sync_fetch_and_or(&m->kinds, 1U << r->kind);
  __sync_fetch_and_add(&m->count, 1);
}

/* Whether the load is allowed even without an answer: the attester's own files, and files that its programs
 * read when they start. */
static __always_inline bool is_for_attester(const struct assay_missed_key* key, u32 kind) {
  struct assay_own_file own = {.ino = key->ino, .dev = key->dev};
  if (bpf_map_lookup_elem(&own_files, &own)) return true;
  if (kind != ASSAY_OPEN) return false;
  struct file* program = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (!program) return false;
  struct inode* inode = program->f_inode;
  own.ino = inode->i_ino;
  own.dev = inode->i_sb->s_dev;
  bpf_put_file(program);
  return bpf_map_lookup_elem(&own_files, &own) != NULL;
}

/* Asks, and decides by the answer or its absence. Returns 0 or a negative error for the hook. */
static __always_inline int decide(struct assay_control* c, struct assay_request* r,
                                  struct assay_answer* answer, const struct assay_missed_key* key) {
  int asked = ask(c, r, answer);
  int result = 0;
  if (asked == -EINTR) {
    result = -EINTR; /* the thread is being killed and will not load anything */
  } else if (asked) {
    note_missed(c, r, key);
    answer->flags = 0;
    if (c->refuse && !is_for_attester(key, r->kind)) result = -EACCES;
  } else if (answer->flags & ASSAY_ANSWER_REFUSE) {
    result = -EACCES;
  }
  u32 tid = r->tid;
  bpf_map_delete_elem(&requests, &tid);
  return result;
}

/* Begins an event, which the caller completes and submits. */
static __always_inline struct assay_event* new_event(struct assay_control* c, u32 kind, u32 detail) {
  struct assay_event* e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) {
    __sync_fetch_and_add(&c->events_lost, 1);
    return NULL;
  }
  e->inode = e->address = e->size = e->ino = 0;
  e->cgroup = bpf_get_current_cgroup_id();
  e->dev = e->flags = e->target = 0;
  e->kind = kind;
  e->detail = detail;
  __builtin_memset(e->digest, 0, sizeof(e->digest));
  __builtin_memset(e->program, 0, sizeof(e->program));
  e->path[0] = 0;
  fill_who(&e->tid, &e->tgid, &e->uid, e->comm);
  return e;
}

static __always_inline void fill_inode(struct assay_event* e, struct inode* inode) {
  e->inode = (u64)inode;
  e->ino = BPF_CORE_READ(inode, i_ino);
  e->dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

/* Sets only the last name, for pointers that the kernel's path function does not accept. */
static __always_inline void fill_last_name(struct assay_event* e, struct dentry* dentry) {
  const unsigned char* name = BPF_CORE_READ(dentry, d_name.name);
  bpf_probe_read_kernel_str(e->path, 256, name);
}

static __always_inline void fill_name(struct assay_event* e, struct file* file) {
  fill_last_name(e, BPF_CORE_READ(file, f_path.dentry));
}

/* Adds the digest of the present task's program, because the task may have ended when the event is read.
 * named: the program's path becomes the event's path, for events without a file. Must not be called from an
 * interrupt or while a lock of the task is held. */
static __always_inline void fill_doer(struct assay_event* e, bool named) {
  struct file* program = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (!program) return;
  if (named && bpf_path_d_path(&program->f_path, e->path, sizeof(e->path)) < 0) e->path[0] = 0;
  if (copy_program(e->program, program->f_inode)) e->flags |= ASSAY_EVENT_PROGRAM;
  bpf_put_file(program);
}
static __always_inline void fill_program(struct assay_event* e) { fill_doer(e, true); }

static __always_inline void tell_file(struct assay_control* c, u32 kind, u32 detail, struct file* file) {
  struct assay_event* e = new_event(c, kind, detail);
  if (!e) return;
  fill_inode(e, file->f_inode);
  if (bpf_path_d_path(&file->f_path, e->path, sizeof(e->path)) < 0) fill_name(e, file);
  fill_doer(e, false);
  bpf_ringbuf_submit(e, 0);
}
