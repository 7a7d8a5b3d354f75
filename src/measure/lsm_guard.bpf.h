/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Self-protection, when asked for: while the attester lives, nobody else reaches its maps, programs, links,
 * pins and processes. When it is gone, its successor may. These programs are loaded only when they are asked
 * for. docs/threat-model.md, "Self-protection".
 */
#pragma once

/* Whether it is guarded from the present task. */
static __always_inline bool is_guarded(const struct assay_control* c) {
  if (!is_active(c) || !c->guarded || my_role()) return false;
  struct task_struct* attester = bpf_task_from_pid(c->attester);
  if (!attester) return false;
  struct task_state* t = bpf_task_storage_get(&tasks, attester, 0, 0);
  bool alive = t && t->role & ASSAY_ROLE_AGENT;
  bpf_task_release(attester);
  return alive;
}

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

/* The kernel's own signals (no memory, a terminal) do not come by here. The way in for the owner: PID 1, the
 * service manager, may. */
SEC("lsm/task_kill")
int BPF_PROG(guard_signal, struct task_struct* p, struct kernel_siginfo* info, int sig,
             const struct cred* cred, int ret) {
  struct assay_control* c = the_control();
  if (ret || !sig || sig == SIGCONT || !is_guarded(c)) return ret;
  if (bpf_get_current_pid_tgid() >> 32 == 1 || !role_of(p)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_SIGNAL);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(guard_ptrace, struct task_struct* child, unsigned int mode, int ret) {
  struct assay_control* c = the_control();
  if (ret || !(mode & PTRACE_MODE_ATTACH) || !is_guarded(c) || !role_of(child)) return ret;
  return refuse_guarded(c, ASSAY_GUARD_PTRACE);
}

/* A descriptor of a map or a program, by its number or its pin. */
SEC("lsm/bpf_map")
int BPF_PROG(guard_map, struct bpf_map* map, unsigned int fmode, int ret) {
  struct assay_control* c = the_control();
  if (ret || !is_guarded(c) || !is_ours(ASSAY_OBJECT_MAP, map->id)) return ret;
  return refuse_guarded(c, ASSAY_GUARD_BPF);
}

SEC("lsm/bpf_prog")
int BPF_PROG(guard_prog, struct bpf_prog* prog, int ret) {
  struct assay_control* c = the_control();
  if (ret || !is_guarded(c) || !is_ours(ASSAY_OBJECT_PROG, prog->aux->id)) return ret;
  return refuse_guarded(c, ASSAY_GUARD_BPF);
}

/* Links have no hook of their own; by their pins they are reached through guard_pins. */
SEC("lsm/bpf")
int BPF_PROG(guard_link, int command, union bpf_attr* attr, unsigned int size, int ret) {
  struct assay_control* c = the_control();
  if (ret || command != BPF_LINK_GET_FD_BY_ID || !is_guarded(c)) return ret;
  u32 id = 0;
  bpf_probe_read_kernel(&id, sizeof(id), attr); /* the union's first member there: link_id */
  return is_ours(ASSAY_OBJECT_LINK, id) ? refuse_guarded(c, ASSAY_GUARD_BPF) : 0;
}

/* Opening and removing pins. */
SEC("lsm/inode_permission")
int BPF_PROG(guard_pins, struct inode* inode, int mask, int ret) {
  struct super_block* sb = inode->i_sb;
  if (ret || sb->s_magic != MAGIC_BPF) return ret;
  struct assay_control* c = the_control();
  if (!c || sb->s_dev != c->guard_dev || !is_guarded(c)) return 0;
  return refuse_guarded(c, ASSAY_GUARD_PINS);
}

SEC("lsm/sb_umount")
int BPF_PROG(guard_umount, struct vfsmount* mnt, int flags, int ret) {
  struct assay_control* c = the_control();
  struct super_block* sb = mnt->mnt_sb;
  if (ret || sb->s_magic != MAGIC_BPF || !c || sb->s_dev != c->guard_dev || !is_guarded(c)) return ret;
  return refuse_guarded(c, ASSAY_GUARD_UMOUNT);
}
