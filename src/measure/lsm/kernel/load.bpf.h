/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Hooks where a process loads code: exec, mmap, mprotect, files opened to be interpreted.
 */
#pragma once

static __always_inline bool is_regular(struct inode* inode) { return (inode->i_mode & S_IFMT) == S_IFREG; }

/* Measures the file unless it is clean. For a file that the kernel reads, the digest of the answer is kept in
 * the task's state. */
static __always_inline int measure(struct assay_control* c, struct file* file, u32 kind, u32 detail) {
  struct inode* inode = file->f_inode;
  struct look l = {};
  l.state = make_inode_state(inode);
  if (!l.state) return unasked(c);
  /* A kernel for kexec is reported each time, even if its file is clean. */
  bool kexec = kind == ASSAY_KERNEL_READ && (detail == READING_KEXEC || detail == READING_KEXEC_INITRAMFS);
  /* The file may be clean because it was opened or mapped before, without a question about its kind of
   * program. */
  bool new_program = kind == ASSAY_EXEC && !(l.state->program && l.state->hook);
  if (!kexec && !new_program && is_clean(l.state, c, inode)) {
    __sync_fetch_and_add(&c->clean_hits, 1);
    return 0;
  }
  if (kind == ASSAY_OPEN &&
      (is_data_for(l.state, c, inode, detail) || is_served_by_attester(c, inode) || is_backing(file)))
    return 0;
  if (!in_scope(c)) return 0;
  u32 role = my_role();
  if (role) {
    if (kind == ASSAY_MMAP && is_probe(c, ASSAY_PULSE_MMAP)) return 0;
    /* The gate's program is part of the attester and is on the gate's file system: reporting it would make
     * the gate open its own file. */
    if (kind != ASSAY_OPEN && !(role & ASSAY_ROLE_GATE)) tell_file(c, ASSAY_OWN_LOAD, kind, file);
    return 0;
  }
  look_at(&l, inode, c);
  struct assay_request* r = new_request(kind, detail);
  if (!r) return unasked(c);
  r->inode = (u64)inode;
  r->ino = inode->i_ino;
  r->size = inode->i_size;
  r->mount = mount_number(file);
  r->flags = l.flags | (has_attesters_root(c) ? ASSAY_OUR_ROOT : 0);
  if (bpf_path_d_path(&file->f_path, r->path, sizeof(r->path)) < 0) r->path[0] = 0;
  /* After reading it back, the BPF verifier treats the address as a number. */
  struct assay_missed_key key = {.id = *(volatile u64*)&r->inode ^ ((u64)inode->i_generation << 32),
                                 .ino = inode->i_ino,
                                 .dev = inode->i_sb->s_dev};
  struct assay_answer answer = {};
  if (kind != ASSAY_KERNEL_READ) fill_words(r);
  int result = decide(c, r, &answer, &key);
  /* Without an answer the kind of program is 0, unknown, even if it was known before. */
  if (kind == ASSAY_EXEC) l.state->program = answer.program, l.state->hook = answer.hook;
  if (answer.program && kind == ASSAY_OPEN && !detail) learn_program(answer.program);
  if (result) return result;
  look_again(&l, inode, c);
  remember(&l, answer.flags);
  keep_digest(&l, &answer);
  if (answer.flags & ASSAY_ANSWER_DIGEST && begin_use(&l)) tell_file(c, ASSAY_TOMTOU, 0, file);
  if (kind == ASSAY_EXEC && detail == ASSAY_EXEC_IS_ASKED) return 0; /* the task goes on as it is */
  if (kind == ASSAY_EXEC || kind == ASSAY_KERNEL_READ) {
    struct task_state* t = my_state(true);
    if (!t) return kind == ASSAY_EXEC ? 0 : unasked(c);
    if (kind == ASSAY_EXEC) {
      t->cover = answer.flags & ASSAY_ANSWER_CLEAN ? (u64)inode : 0;
      t->cover_seq = l.at.seq;
      keep_program(t, &l, inode, &answer);
    } else {
      t->read = answer.flags & ASSAY_ANSWER_DIGEST ? (u64)inode : 0;
      __builtin_memcpy(t->read_digest, answer.digest, ASSAY_DIGEST);
    }
  }
  return 0;
}

/* The opening program is looked up only for files that are not clean, so that clean files cost no more. */
static __always_inline int open_to_read(struct assay_control* c, struct file* file) {
  u32 program = 0;
  if (c->opens != ASSAY_OPENS_ALL) {
    struct inode* inode = file->f_inode;
    struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
    if (s && is_clean(s, c, inode)) {
      __sync_fetch_and_add(&c->clean_hits, 1);
      return 0;
    }
    program = opening_program();
    if (program == ASSAY_PROGRAM_NONE) return 0;
    if (program & ASSAY_PROGRAM_READER && c->opens == ASSAY_OPENS_INTERPRETERS) return 0;
  }
  return measure(c, file, ASSAY_OPEN, program);
}

/* Reports memory with code that comes from no file, once for each program and kind. */
static __always_inline void tell_memory(struct assay_control* c, u32 kind, u64 address) {
  if (!in_scope(c) || reported_before(kind, 0)) return;
  struct assay_event* e = new_event(c, kind, 0);
  if (!e) return;
  fill_program(e);
  e->address = address;
  bpf_ringbuf_submit(e, 0);
}

SEC("lsm.s/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm* bprm) {
  struct assay_control* c = the_control();
  struct task_state* t = my_state(false);
  if (t)
    t->reported = t->reported_reasons = 0, t->cover = 0,
    t->program = 0; /* the task runs another program from now on */
  if (!is_active(c)) return 0;
  if (is_probe_child(c, ASSAY_PULSE_EXEC)) return 0;
  return measure(c, bprm->file, ASSAY_EXEC, 0);
}

/* The program is executed: no exec fails from here on. Loaded only if the configuration names such programs.
 */
SEC("lsm/bprm_committed_creds")
void BPF_PROG(start_with_hook, struct linux_binprm* bprm) {
  struct assay_control* c = the_control();
  if (!is_active(c)) return;
  struct inode_state* s = bpf_inode_storage_get(&inodes, bprm->file->f_inode, 0, 0);
  if (!s || s->hook < ASSAY_HOOKS || !in_scope(c) || my_role()) return;
  struct assay_event* e = new_event(c, ASSAY_STARTED, s->hook - ASSAY_HOOKS);
  if (!e) return;
  e->address = bpf_ktime_get_ns();
  fill_program(e);
  bpf_ringbuf_submit(e, 0);
}

/* AT_EXECVE_CHECK (Linux 6.14): an interpreter asks whether the file may be executed, and then reads it. The
 * kernel ends such a call before bprm_check_security. */
SEC("lsm.s/bprm_creds_for_exec")
int BPF_PROG(on_exec_check, struct linux_binprm* bprm) {
  if (!bpf_core_field_exists(bprm->is_check)) return 0;
  struct assay_control* c = the_control();
  if (!is_active(c) || !BPF_CORE_READ_BITFIELD_PROBED(bprm, is_check)) return 0;
  return measure(c, bprm->file, ASSAY_EXEC, ASSAY_EXEC_IS_ASKED);
}

/* Whether the mapped file was measured in this exec and has had no writer since. */
static __always_inline bool is_covered(struct inode* inode) {
  struct task_struct* me = bpf_get_current_task_btf();
  if (!BPF_CORE_READ_BITFIELD_PROBED(me, in_execve)) return false;
  struct task_state* t = my_state(false);
  if (!t || t->cover != (u64)inode) return false;
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  return s && t->cover_seq == s->write_seq + 1;
}

/* A task with such a mapping can pass its pages to a writer that goes on long after the file was closed:
 * buffers of io_uring, or a read from a device or a FUSE file that ends later. */
static __always_inline void mapped_for_writing(struct assay_control* c, struct inode* inode) {
  if (!is_regular(inode) || inode->i_sb->s_flags & SB_KERNMOUNT)
    return; /* memory without a file: never clean */
  u64 data = data_inode(inode);
  struct assay_real_state* r = data ? real_state(data) : NULL;
  if (r)
    __sync_fetch_and_add(&r->shared, 1);
  else if (data)
    unasked(c);
}

SEC("lsm.s/mmap_file")
int BPF_PROG(on_mmap, struct file* file, unsigned long reqprot, unsigned long prot, unsigned long flags) {
  struct assay_control* c = the_control();
  if (!c) return 0;
  if ((flags & MAP_TYPE) != MAP_PRIVATE && file && file->f_mode & FMODE_WRITE)
    mapped_for_writing(c, file->f_inode);
  if (!(prot & PROT_EXEC) || !c->active) return 0;
  if (!file || !is_regular(file->f_inode)) {
    tell_memory(c, prot & PROT_WRITE ? ASSAY_WRITABLE_CODE : ASSAY_ANONYMOUS_CODE, 0);
    return 0;
  }
  if (prot & PROT_WRITE) tell_memory(c, ASSAY_WRITABLE_CODE, 0);
  if (is_covered(file->f_inode)) return 0;
  return measure(c, file, ASSAY_MMAP, 0);
}

/* The kernel holds mmap_lock here, so this hook can only send events. */
SEC("lsm/file_mprotect")
int BPF_PROG(on_mprotect, struct vm_area_struct* vma, unsigned long reqprot, unsigned long prot) {
  struct assay_control* c = the_control();
  if (!(prot & PROT_EXEC) || !is_active(c)) return 0;
  if (is_probe(c, ASSAY_PULSE_MPROTECT)) return 0;
  if (prot & PROT_WRITE) tell_memory(c, ASSAY_WRITABLE_CODE, vma->vm_start);
  if (vma->vm_flags & VM_EXEC) return 0;
  if (bpf_core_field_exists(vma->vm_userfaultfd_ctx.ctx) && vma->vm_userfaultfd_ctx.ctx)
    tell_memory(c, ASSAY_MODIFIED_CODE, vma->vm_start);
  struct file* file = vma->vm_file;
  if (!file) {
    if (!(prot & PROT_WRITE)) tell_memory(c, ASSAY_ANONYMOUS_CODE, vma->vm_start);
    return 0;
  }
  /* Private pages were written to, so they no longer have the file's content. The file itself is checked
   * below. */
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
