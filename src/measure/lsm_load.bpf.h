/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Code on its way into a process: exec, mmap, mprotect, files opened to be interpreted.
 */
#pragma once

static __always_inline bool is_regular(struct inode* inode) { return (inode->i_mode & S_IFMT) == S_IFREG; }

/* Measures the file unless it is clean. The digest, if one was given, goes to *task for what the kernel
 * reads. */
static __always_inline int measure(struct assay_control* c, struct file* file, u32 kind, u32 detail) {
  struct inode* inode = file->f_inode;
  struct look l = {};
  l.state = bpf_inode_storage_get(&inodes, inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!l.state) return c->refuse ? -ENOMEM : 0;
  if (is_clean(l.state, c, inode)) {
    __sync_fetch_and_add(&c->clean_hits, 1);
    return 0;
  }
  if (kind == ASSAY_OPEN && (is_data(l.state, c, inode) || is_served_by_attester(c, inode))) return 0;
  if (!in_scope(c)) return 0;
  u32 role = my_role();
  if (role) {
    if (kind == ASSAY_MMAP && is_probe(c, ASSAY_PULSE_MMAP)) return 0;
    /* The gate's program is a part of the attester's, and on its file system: it would open its own file. */
    if (kind != ASSAY_OPEN && !(role & ASSAY_ROLE_GATE)) tell_file(c, ASSAY_OWN_LOAD, kind, file);
    return 0;
  }
  look_at(&l, inode, c);
  struct assay_request* r = new_request(kind, detail);
  if (!r) return c->refuse ? -ENOMEM : 0;
  r->inode = (u64)inode;
  r->ino = inode->i_ino;
  r->size = inode->i_size;
  r->mount = mount_number(file);
  r->flags = l.flags | (has_attesters_root(c) ? ASSAY_OUR_ROOT : 0);
  if (bpf_path_d_path(&file->f_path, r->path, sizeof(r->path)) < 0) r->path[0] = 0;
  /* Read back, the address is a number to the verifier. */
  struct assay_missed_key key = {.id = *(volatile u64*)&r->inode ^ ((u64)inode->i_generation << 32),
                                 .ino = inode->i_ino,
                                 .dev = inode->i_sb->s_dev};
  struct assay_answer answer = {};
  int result = decide(c, r, &answer, &key);
  if (result) return result;
  remember(&l, answer.flags);
  if (kind == ASSAY_EXEC || kind == ASSAY_KERNEL_READ) {
    struct task_state* t = my_state(true);
    if (!t) return 0;
    if (kind == ASSAY_EXEC) {
      t->cover = answer.flags & ASSAY_ANSWER_CLEAN ? (u64)inode : 0;
    } else {
      t->read = answer.flags & ASSAY_ANSWER_DIGEST ? (u64)inode : 0;
      __builtin_memcpy(t->read_digest, answer.digest, ASSAY_DIGEST);
    }
  }
  return 0;
}

/* Memory that holds code no file vouches for: once for each program and kind. */
static __always_inline void tell_memory(struct assay_control* c, u32 kind, u64 address) {
  if (!in_scope(c) || reported_before(kind)) return;
  struct assay_event* e = new_event(c, kind, 0);
  if (!e) return;
  fill_program(e);
  e->address = address;
  bpf_ringbuf_submit(e, 0);
}

SEC("lsm.s/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm* bprm, int ret) {
  struct assay_control* c = the_control();
  if (ret || !is_active(c)) return ret;
  struct task_state* t = my_state(false);
  if (t) t->reported = 0; /* another program from now on */
  if (is_probe_child(c, ASSAY_PULSE_EXEC)) return 0;
  return measure(c, bprm->file, ASSAY_EXEC, 0);
}

SEC("lsm.s/mmap_file")
int BPF_PROG(on_mmap, struct file* file, unsigned long reqprot, unsigned long prot, unsigned long flags,
             int ret) {
  struct assay_control* c = the_control();
  if (ret || !(prot & PROT_EXEC) || !is_active(c)) return ret;
  if (!file || !is_regular(file->f_inode)) {
    tell_memory(c, prot & PROT_WRITE ? ASSAY_WRITABLE_CODE : ASSAY_ANONYMOUS_CODE, 0);
    return 0;
  }
  if (prot & PROT_WRITE) tell_memory(c, ASSAY_WRITABLE_CODE, 0);
  struct task_struct* me = bpf_get_current_task_btf();
  if (BPF_CORE_READ_BITFIELD_PROBED(me, in_execve)) {
    struct task_state* t = my_state(false);
    if (t && t->cover == (u64)file->f_inode) return 0;
  }
  return measure(c, file, ASSAY_MMAP, 0);
}

/* Called with mmap_lock held: it can only tell. */
SEC("lsm/file_mprotect")
int BPF_PROG(on_mprotect, struct vm_area_struct* vma, unsigned long reqprot, unsigned long prot, int ret) {
  struct assay_control* c = the_control();
  if (ret || !(prot & PROT_EXEC) || !is_active(c)) return ret;
  if (is_probe(c, ASSAY_PULSE_MPROTECT)) return 0;
  if (prot & PROT_WRITE) tell_memory(c, ASSAY_WRITABLE_CODE, vma->vm_start);
  if (vma->vm_flags & VM_EXEC) return 0;
  struct file* file = vma->vm_file;
  if (!file) {
    if (!(prot & PROT_WRITE)) tell_memory(c, ASSAY_ANONYMOUS_CODE, vma->vm_start);
    return 0;
  }
  /* Private pages were copied: it is no longer the file's content. What the file holds is recorded besides.
   */
  if (!(vma->vm_flags & VM_SHARED) && vma->anon_vma) tell_memory(c, ASSAY_MODIFIED_CODE, vma->vm_start);
  struct inode* inode = file->f_inode;
  if (!inode || !in_scope(c)) return 0;
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  if (s && is_clean(s, c, inode)) return 0;
  struct assay_event* e = new_event(c, ASSAY_MPROTECT, 0);
  if (!e) return 0;
  fill_inode(e, inode);
  fill_name(e, file);
  e->address = vma->vm_start;
  bpf_ringbuf_submit(e, 0);
  return 0;
}
