/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Code on its way into the kernel: modules, firmware, kexec images, policies, BPF programs.
 */
#pragma once

SEC("lsm.s/kernel_read_file")
int BPF_PROG(on_kernel_read, struct file* file, int id, bool contents) {
  struct assay_control* c = the_control();
  if (!file || !is_active(c)) return 0;
  return measure(c, file, ASSAY_KERNEL_READ, id);
}

/* This hook can't sleep. The content of a clean inode is what was measured; otherwise the digest of the
 * buffer itself is compared. */
SEC("lsm/kernel_post_read_file")
int BPF_PROG(after_kernel_read, struct file* file, char* buffer, long size, int id) {
  struct assay_control* c = the_control();
  if (!file || !is_active(c)) return 0;
  struct task_state* t = my_state(false);
  if (!t || t->read == 0 || t->read != (u64)file->f_inode) return 0;
  t->read = 0;
  struct inode_state* s = bpf_inode_storage_get(&inodes, file->f_inode, 0, 0);
  if (s && is_clean(s, c, file->f_inode)) return 0;
  u64 other = 0;
  if (sha256(&t->sha, buffer, size, false, (u8*)t->found_digest)) {
    __builtin_memset(t->found_digest, 0, sizeof(t->found_digest));
    other = 1;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < ASSAY_DIGEST / 8; ++i) other |= t->found_digest[i] ^ t->read_digest[i];
  if (!other) return 0;
  struct assay_event* e = new_event(c, ASSAY_CHANGED_BUFFER, id);
  if (e) {
    fill_inode(e, file->f_inode);
    fill_name(e, file);
    e->size = size;
    __builtin_memcpy(e->digest, t->found_digest, sizeof(e->digest));
    bpf_ringbuf_submit(e, 0);
  }
  return c->refuse ? -EACCES : 0;
}

SEC("lsm/kernel_load_data")
int BPF_PROG(on_load_data, int id, bool contents) {
  struct assay_control* c = the_control();
  if (is_probe(c, ASSAY_PULSE_LOAD_DATA)) return 0;
  if (contents || !is_active(c) || !in_scope(c)) return 0;
  struct assay_event* e = new_event(c, ASSAY_KEXEC_LOAD, id);
  if (e) {
    fill_program(e);
    bpf_ringbuf_submit(e, 0);
  }
  return c->refuse && id == LOADING_KEXEC_IMAGE ? -EACCES : 0;
}

/* This hook can't sleep either, so it keeps the digest for on_kernfs. A module may be refused before it gets
 * there, after its own code has handled its parameters. So an event reports the digest in any case. */
SEC("lsm/kernel_post_load_data")
int BPF_PROG(after_load_data, char* buffer, long size, int id, char* description) {
  struct assay_control* c = the_control();
  if (!is_active(c) || !in_scope(c)) return 0;
  struct task_state* t = my_state(true);
  if (!t) return unasked(c);
  if (sha256(&t->sha, buffer, size, false, t->buffer_digest))
    __builtin_memset(t->buffer_digest, 0, sizeof(t->buffer_digest));
  t->buffer_size = size;
  t->buffer_detail = id;
  t->buffer = 1;
  struct assay_event* e = new_event(c, ASSAY_BUFFER_TAKEN, id);
  if (!e) return 0;
  e->size = size;
  __builtin_memcpy(e->digest, t->buffer_digest, sizeof(e->digest));
  fill_doer(e, false);
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* A module's folder in sysfs is made before its initialisation runs. This is the first hook after the load
 * that may sleep. */
SEC("lsm.s/kernfs_init_security")
int BPF_PROG(on_kernfs, struct kernfs_node* parent, struct kernfs_node* node) {
  struct assay_control* c = the_control();
  if (!is_active(c)) return 0;
  struct task_state* t = my_state(false);
  if (!t || !t->buffer) return 0;
  t->buffer = 0;
  struct assay_request* r = new_request(ASSAY_BUFFER, t->buffer_detail);
  if (!r) return unasked(c);
  r->size = t->buffer_size;
  __builtin_memcpy(r->digest, t->buffer_digest, sizeof(r->digest));
  struct assay_missed_key key = {.id = ASSAY_BUFFER, .ino = *(u64*)t->buffer_digest};
  struct assay_answer answer = {};
  return decide(c, r, &answer, &key);
}

SEC("lsm.s/bpf_prog_load")
int BPF_PROG(on_bpf, struct bpf_prog* prog) {
  struct assay_control* c = the_control();
  if (is_probe(c, ASSAY_PULSE_BPF) || !is_active(c) || !in_scope(c) || my_role()) return 0;
  struct task_state* t = my_state(true);
  if (!t) return unasked(c);
  struct assay_request* r = new_request(ASSAY_BPF, 0);
  if (!r) return unasked(c);
  r->size = (u64)prog->len * 8;
  r->inode = (u64)prog;
  /* After reading it back, the BPF verifier treats the address as a number, which allows arithmetic. */
  u64 instructions = *(volatile u64*)&r->inode + bpf_core_field_offset(struct bpf_prog, insnsi);
  if (sha256(&t->sha, (void*)instructions, r->size, true, r->digest))
    __builtin_memset(r->digest, 0, sizeof(r->digest));
  bpf_probe_read_kernel_str(r->path, sizeof(prog->aux->name), BPF_CORE_READ(prog, aux)->name);
  struct file* loader = bpf_get_task_exe_file(bpf_get_current_task_btf());
  if (loader) {
    if (copy_program(r->program, loader->f_inode)) r->flags |= ASSAY_REQUEST_PROGRAM;
    bpf_put_file(loader);
  }
  struct assay_missed_key key = {.id = ASSAY_BPF, .ino = *(u64*)r->digest};
  struct assay_answer answer = {};
  return decide(c, r, &answer, &key);
}
