/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Self-protection, if the configuration asks for it: while the attester runs, no other process can access its
 * maps, programs, links, pins and processes. After its end its successor can. The programs are loaded only
 * with the guard; the functions belong to hooks that have a program already (lsm.bpf.c).
 * docs/threat-model.md, "Self-protection".
 */
#pragma once

#define MAGIC_CGROUP 0x63677270
#define MAGIC_TRACE 0x74726163
#define SYSCALL_PROCESS_MADVISE 440 /* on every architecture */
#define CAP_PERFMON 38

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

/* Whether the attester is guarded against the present task. */
static __always_inline bool is_guarded(const struct assay_control* c) {
  return is_active(c) && c->guarded && !my_role() && is_attester_alive(c);
}

/* Whether this is the service manager, through which the owner controls the attester. */
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

/* This hook does not see the kernel's own signals (out of memory, a terminal). */
SEC("lsm/task_kill")
int BPF_PROG(guard_signal, struct task_struct* p, struct kernel_siginfo* info, int sig) {
  struct assay_control* c = the_control();
  if (!sig || sig == SIGCONT || !is_guarded(c)) return 0;
  if (is_first_process() || !role_of(p)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_SIGNAL);
}

/* A signal that a descriptor sends to its owner (F_SETOWN, F_SETSIG). It may come from an interrupt: then the
 * present task is not the sender, so its program is not looked up. SIGIO itself is allowed: it comes with the
 * end of a lease, and the attester ignores it. */
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

/* Called at ptrace_access_check. Reading the attester's files in /proc is allowed. process_madvise() needs
 * the same right, so it is told by its system call. */
static __always_inline int guard_ptrace(struct assay_control* c, struct task_struct* child, u32 mode) {
  bool attach = mode & PTRACE_MODE_ATTACH;
  if (!is_guarded(c) || !role_of(child) || !(attach || is_in_process_madvise())) return 0;
  return refuse_guarded(c, attach ? ASSAY_GUARD_PTRACE : ASSAY_GUARD_MADVISE);
}

/* From Linux 6.14 on, mm_access() asks for a capability once guard_ptrace has refused, so its refusal counts
 * for little: within process_madvise() nothing else asks for these two. */
SEC("lsm/capable")
int BPF_PROG(guard_madvise, const struct cred* cred, struct user_namespace* ns, int capability) {
  if (capability != CAP_PERFMON && capability != CAP_SYS_ADMIN) return 0;
  return is_in_process_madvise() && is_guarded(the_control()) ? -EPERM : 0;
}

/* A task gets a descriptor of a map or a program by its number or its pin. */
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

/* Links have no hook of their own; guard_pins protects their pins. Probes in user programs can be made as
 * links too. The words are read from the kernel's copy of the arguments: link_id, or prog_fd, target_fd and
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

/* The hook can't tell which program a probe is for, so the guard refuses all of them. */
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

/* Whether a file in /proc/PID belongs to a process of the attester. */
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

/* Whether the attester or its gate is in the control group of this file, by which the group can be frozen or
 * killed. A group's number is the inode number of its folder. */
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

/* Called at file_open: files by which a task could access the attester's processes, or bypass the hooks. */
static __always_inline int guard_open(struct assay_control* c, struct file* file) {
  if (!c->active || !c->guarded) return 0;
  unsigned long magic = file->f_inode->i_sb->s_magic;
  if (magic != MAGIC_PROC && magic != MAGIC_CGROUP && magic != MAGIC_TRACE) return 0;
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

/* A task opens or removes pins. */
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
