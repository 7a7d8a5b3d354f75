/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Self-protection, when asked for: while the attester lives, nobody else reaches its maps, programs, links,
 * pins and processes. When it is gone, its successor may. These programs are loaded only when they are asked
 * for. None looks at what an earlier program answered: where one refuses, the kernel asks no further one.
 * docs/threat-model.md, "Self-protection".
 */
#pragma once

#define MAGIC_CGROUP 0x63677270
#define MAGIC_TRACE 0x74726163
#define SYSCALL_PROCESS_MADVISE 440 /* on every architecture */

extern struct cgroup* bpf_cgroup_from_id(u64 id) __ksym;
extern void bpf_cgroup_release(struct cgroup* cgroup) __ksym;
extern long bpf_task_under_cgroup(struct task_struct* task, struct cgroup* ancestor) __ksym;

static __always_inline bool is_attester_alive(const struct assay_control* c) {
  if (!is_active(c) || !c->guarded) return false;
  struct task_struct* attester = bpf_task_from_pid(c->attester);
  if (!attester) return false;
  struct task_state* t = bpf_task_storage_get(&tasks, attester, 0, 0);
  bool alive = t && t->role & ASSAY_ROLE_AGENT;
  bpf_task_release(attester);
  return alive;
}

/* Whether it is guarded from the present task. */
static __always_inline bool is_guarded(const struct assay_control* c) {
  return is_active(c) && c->guarded && !my_role() && is_attester_alive(c);
}

/* The service manager: the owner's way in. */
static __always_inline bool is_first_process(void) { return bpf_get_current_pid_tgid() >> 32 == 1; }

static __always_inline int refuse_guarded(struct assay_control* c, u32 way) {
  struct assay_event* e = new_event(c, ASSAY_GUARDED, way);
  if (e) {
    fill_program(e);
    bpf_ringbuf_submit(e, 0);
  }
  return -EPERM;
}

static __always_inline bool is_ours(u32 type, u32 id) {
  struct assay_object object = {.type = type, .id = id};
  return bpf_map_lookup_elem(&own_objects, &object) != NULL;
}

/* The kernel's own signals (no memory, a terminal) do not come by here. */
SEC("lsm/task_kill")
int BPF_PROG(guard_signal, struct task_struct* p, struct kernel_siginfo* info, int sig) {
  struct assay_control* c = the_control();
  if (!sig || sig == SIGCONT || !is_guarded(c)) return 0;
  if (is_first_process() || !role_of(p)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_SIGNAL);
}

/* What a descriptor sends to its owner (F_SETOWN, F_SETSIG), maybe from an interrupt: then the present task
 * has nothing to do with it, and its program must not be looked up. SIGIO itself does nothing to the
 * attester, which ignores it: it comes with the end of its leases. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(guard_sigio, struct task_struct* p, struct fown_struct* owner, int sig) {
  struct assay_control* c = the_control();
  if (!is_attester_alive(c)) return 0;
  u32 role = role_of(p);
  if (!role || ((!sig || sig == SIGIO) && role & ASSAY_ROLE_AGENT)) return 0;
  struct assay_event* e = new_event(c, ASSAY_GUARDED, ASSAY_GUARD_SIGIO);
  if (e) bpf_ringbuf_submit(e, 0);
  return -EPERM;
}

static __always_inline bool is_in_process_madvise(void) {
  struct pt_regs* registers = (void*)bpf_task_pt_regs(bpf_get_current_task_btf());
  return bpf_core_field_exists(registers->orig_ax) &&
         (BPF_CORE_READ(registers, orig_ax) & 0xffff) == SYSCALL_PROCESS_MADVISE;
}

/* Reading what /proc says of it is allowed; process_madvise() asks for no more than that. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(guard_ptrace, struct task_struct* child, unsigned int mode) {
  struct assay_control* c = the_control();
  bool attach = mode & PTRACE_MODE_ATTACH;
  if (!is_guarded(c) || !role_of(child) || !(attach || is_in_process_madvise())) return 0;
  return refuse_guarded(c, attach ? ASSAY_GUARD_PTRACE : ASSAY_GUARD_MADVISE);
}

/* A descriptor of a map or a program, by its number or its pin. */
SEC("lsm/bpf_map")
int BPF_PROG(guard_map, struct bpf_map* map) {
  struct assay_control* c = the_control();
  if (!is_guarded(c) || !is_ours(ASSAY_OBJECT_MAP, map->id)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_BPF);
}

SEC("lsm/bpf_prog")
int BPF_PROG(guard_prog, struct bpf_prog* prog) {
  struct assay_control* c = the_control();
  if (!is_guarded(c) || !is_ours(ASSAY_OBJECT_PROG, prog->aux->id)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_BPF);
}

/* Links have no hook of their own; by their pins they are reached through guard_pins. Probes in user programs
 * can be made as links too. What is read here is the kernel's copy: link_id, or prog_fd, target_fd and
 * attach_type. */
SEC("lsm/bpf")
int BPF_PROG(guard_link, int command, union bpf_attr* attr) {
  if (command != BPF_LINK_GET_FD_BY_ID && command != BPF_LINK_CREATE) return 0;
  struct assay_control* c = the_control();
  if (!is_guarded(c)) return 0;
  u32 words[3] = {};
  bpf_probe_read_kernel(words, sizeof(words), attr);
  if (command == BPF_LINK_CREATE)
    return words[2] == BPF_TRACE_UPROBE_MULTI ? refuse_guarded(c, ASSAY_GUARD_PROBE) : 0;
  return is_ours(ASSAY_OBJECT_LINK, words[0]) ? refuse_guarded(c, ASSAY_GUARD_BPF) : 0;
}

/* Which program a probe is for can't be told here: with a guard there are none. */
SEC("lsm/perf_event_alloc")
int BPF_PROG(guard_perf, struct perf_event* event) {
  char name[8] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(event, pmu, name));
  const char kProbe[] = "uprobe";
#pragma clang loop unroll(full)
  for (u32 i = 0; i < sizeof(kProbe); ++i)
    if (name[i] != kProbe[i]) return 0;
  struct assay_control* c = the_control();
  return is_guarded(c) ? refuse_guarded(c, ASSAY_GUARD_PROBE) : 0;
}

/* A file of a process's in proc: whether the process is the attester's. */
static __always_inline bool is_process_of_ours(struct inode* inode) {
  struct proc_inode* p = (void*)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
  struct pid* pid = BPF_CORE_READ(p, pid);
  if (!pid) return false;
  struct task_struct* task = bpf_task_from_pid(BPF_CORE_READ(pid, numbers[0].nr));
  if (!task) return false;
  bool ours = role_of(task) != 0;
  bpf_task_release(task);
  return ours;
}

static __always_inline u32 proc_way(struct file* file, bool writes) {
  struct dentry* dentry = file->f_path.dentry;
  if (IS_NAMED(dentry, "kcore")) return ASSAY_GUARD_PROC;
  if (!writes) return 0;
  if (is_hooks_switch(dentry)) return ASSAY_GUARD_HOOKS;
  if (IS_NAMED(dentry, "sysrq-trigger") || is_process_of_ours(file->f_inode)) return ASSAY_GUARD_PROC;
  return 0;
}

/* Freezing or ending a group that the attester or its gate is in. A group's number is its folder's inode
 * number. */
static __always_inline bool is_group_of_ours(const struct assay_control* c, struct dentry* file) {
  struct cgroup* group = bpf_cgroup_from_id(BPF_CORE_READ(file, d_parent, d_inode, i_ino));
  if (!group) return false;
  bool ours = false;
  struct task_struct* attester = bpf_task_from_pid(c->attester);
  if (attester) {
    ours = bpf_task_under_cgroup(attester, group);
    bpf_task_release(attester);
  }
  struct task_struct* gate = bpf_task_from_pid(c->gate);
  if (gate) {
    ours = bpf_task_under_cgroup(gate, group) || ours;
    bpf_task_release(gate);
  }
  bpf_cgroup_release(group);
  return ours;
}

/* Files by which one reaches into a process, or around it. */
SEC("lsm/file_open")
int BPF_PROG(guard_open, struct file* file) {
  unsigned long magic = file->f_inode->i_sb->s_magic;
  if (magic != MAGIC_PROC && magic != MAGIC_CGROUP && magic != MAGIC_TRACE) return 0;
  struct assay_control* c = the_control();
  if (!is_active(c) || !c->guarded) return 0;
  bool writes = file->f_mode & FMODE_WRITE;
  struct dentry* dentry = file->f_path.dentry;
  u32 way = 0;
  if (magic == MAGIC_PROC) {
    way = proc_way(file, writes);
  } else if (writes && magic == MAGIC_TRACE) {
    if (IS_NAMED(dentry, "uprobe_events") || IS_NAMED(dentry, "kprobe_events") ||
        IS_NAMED(dentry, "dynamic_events"))
      way = ASSAY_GUARD_PROBE;
  } else if (writes) {
    if ((IS_NAMED(dentry, "cgroup.freeze") || IS_NAMED(dentry, "cgroup.kill")) && is_group_of_ours(c, dentry))
      way = ASSAY_GUARD_CGROUP;
  }
  if (!way || is_first_process() || !is_guarded(c)) return 0;
  return refuse_guarded(c, way);
}

/* Opening and removing pins. */
SEC("lsm/inode_permission")
int BPF_PROG(guard_pins, struct inode* inode) {
  struct super_block* sb = inode->i_sb;
  if (sb->s_magic != MAGIC_BPF) return 0;
  struct assay_control* c = the_control();
  if (!c || sb->s_dev != c->guard_dev || !is_guarded(c)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_PINS);
}

SEC("lsm/sb_umount")
int BPF_PROG(guard_umount, struct vfsmount* mnt) {
  struct assay_control* c = the_control();
  struct super_block* sb = mnt->mnt_sb;
  if (sb->s_magic != MAGIC_BPF || !c || sb->s_dev != c->guard_dev || !is_guarded(c)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_UMOUNT);
}
