/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Whatever may change a file's content or name, by any way around or through its file system.
 */
#pragma once

static __always_inline void raise_real(struct inode* inode) {
  u64 address = (u64)inode;
  u64* seq = bpf_map_lookup_elem(&real_inodes, &address);
  if (seq) __sync_fetch_and_add(seq, 1);
}

/* The content may change from now on. An inode without a state was never measured and needs none. */
static __always_inline void opened_for_writing(struct assay_control* c, struct file* file) {
  struct inode* inode = file->f_inode;
  raise_real(inode);
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  if (!s) return;
  bool was_clean = is_clean(s, c, inode);
  __sync_fetch_and_add(&s->write_seq, 1);
  if (!was_clean || !c->active) return;
  /* Without the kernel's IMA the count of readers is not kept; then every such open is told. */
  bool in_use = !bpf_core_field_exists(inode->i_readcount) || inode->i_readcount.counter > 0;
  if (in_use) tell_file(c, ASSAY_TOMTOU, 0, file);
}

static __always_inline void raw_device_opened(struct assay_control* c, struct file* file) {
  u64 address = (u64)file;
  u32 one = 1;
  /* One that has no place in the map counts for ever. */
  if (bpf_map_update_elem(&raw_files, &address, &one, BPF_NOEXIST) != -EEXIST)
    __sync_fetch_and_add(&c->raw_writers, 1);
  __sync_fetch_and_add(&c->raw_seq, 1);
  if (c->active) tell_file(c, ASSAY_RAW_DEVICE, 0, file);
}

static __always_inline bool is_named_mem(struct dentry* dentry) {
  char name[8] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), dentry->d_name.name);
  return name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 0;
}

SEC("lsm.s/file_open")
int BPF_PROG(on_open, struct file* file, int ret) {
  struct assay_control* c = the_control();
  if (ret || !c) return ret;
  struct inode* inode = file->f_inode;
  u32 type = inode->i_mode & S_IFMT;
  if (file->f_mode & FMODE_WRITE) {
    if (type == S_IFBLK) {
      raw_device_opened(c, file);
    } else if (type == S_IFCHR) {
      u32 device = inode->i_rdev;
      if (MAJOR(device) == MAJOR_SCSI_GENERIC) raw_device_opened(c, file);
      bool memory =
          MAJOR(device) == MAJOR_MEM && (MINOR(device) == 1 || MINOR(device) == 2 || MINOR(device) == 4);
      if (device == DEV_NULL) is_probe(c, ASSAY_PULSE_OPEN);
      if (memory && c->active) tell_file(c, ASSAY_KERNEL_MEMORY, 0, file);
    } else if (type == S_IFREG) {
      if (inode->i_sb->s_magic == MAGIC_PROC) {
        if (c->active && is_named_mem(file->f_path.dentry) && !my_role())
          tell_file(c, ASSAY_PROCESS_ACCESS, 0, file);
      } else if (inode->i_sb->s_magic == MAGIC_SYSFS) {
        if (is_md_setting(file)) raw_device_opened(c, file);
      } else {
        opened_for_writing(c, file);
      }
    }
    return 0;
  }
  /* An open for execution comes to bprm_check_security. */
  if (!c->active || !c->opens || type != S_IFREG || file->f_flags & FMODE_EXEC) return 0;
  unsigned long magic = inode->i_sb->s_magic;
  if (!is_watched_magic(magic) && !is_served_magic(magic) && magic != MAGIC_OVERLAY) return 0;
  return measure(c, file, ASSAY_OPEN, 0);
}

SEC("lsm/file_release")
int BPF_PROG(on_release, struct file* file) {
  struct assay_control* c = the_control();
  if (!c) return 0;
  if (c->probe) is_probe(c, ASSAY_PULSE_RELEASE);
  if (!c->raw_writers) return 0;
  u64 address = (u64)file;
  if (bpf_map_delete_elem(&raw_files, &address)) return 0;
  __sync_fetch_and_add(&c->raw_seq, 1);
  __sync_fetch_and_sub(&c->raw_writers, 1);
  return 0;
}

static __always_inline void raise(struct inode* inode) {
  if (!inode) return;
  raise_real(inode);
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  if (s) __sync_fetch_and_add(&s->write_seq, 1);
}

SEC("lsm.s/inode_setattr")
int BPF_PROG(on_setattr, struct mnt_idmap* idmap, struct dentry* dentry, struct iattr___assay* attr,
             int ret) {
  if (ret == 0 && BPF_CORE_READ(attr, ia_valid) & ATTR_SIZE && !is_probe(the_control(), ASSAY_PULSE_SETATTR))
    raise(dentry->d_inode);
  return ret;
}

/* Same content, other name: it is recorded again under that name. */
SEC("lsm.s/inode_rename")
int BPF_PROG(on_rename, struct inode* old_dir, struct dentry* old_dentry, struct inode* new_dir,
             struct dentry* new_dentry, int ret) {
  if (ret == 0 && !is_probe(the_control(), ASSAY_PULSE_RENAME)) raise(old_dentry->d_inode);
  return ret;
}

SEC("lsm/inode_link")
int BPF_PROG(on_link, struct dentry* old_dentry, struct inode* dir, struct dentry* new_dentry, int ret) {
  if (ret == 0 && !is_probe(the_control(), ASSAY_PULSE_LINK)) raise(old_dentry->d_inode);
  return ret;
}

/* The address will be another inode's. */
SEC("lsm/inode_free_security")
void BPF_PROG(on_inode_free, struct inode* inode) {
  u64 address = (u64)inode;
  is_probe(the_control(), ASSAY_PULSE_INODE_FREE);
  bpf_map_delete_elem(&real_inodes, &address);
}

/* Two inodes' data change places without either being opened for writing. Source: EXT4_IOC_SWAP_BOOT. */
#define IOCTL_SWAP_BOOT 0x6611

/* From here until the file is closed: when the call itself is done can't be seen. */
static __always_inline void storage_changes(struct assay_control* c, struct file* file) {
  u64 address = (u64)file;
  if (bpf_map_lookup_elem(&raw_files, &address))
    __sync_fetch_and_add(&c->raw_seq, 1);
  else
    raw_device_opened(c, file);
}

static __always_inline void ioctl_called(struct file* file, u32 command) {
  struct assay_control* c = the_control();
  if (command == IOCTL_SWAP_BOOT) raise(file->f_inode);
  if (c && changes_storage(file, command)) storage_changes(c, file);
}

SEC("lsm.s/file_ioctl")
int BPF_PROG(on_ioctl, struct file* file, unsigned int command, unsigned long argument, int ret) {
  if (ret) return ret;
  if (command != ASSAY_IDENTIFY) {
    ioctl_called(file, command);
    return 0;
  }
  if (!(my_role() & ASSAY_ROLE_AGENT)) return 0;
  is_probe(the_control(), ASSAY_PULSE_IOCTL);
  u32 tid = argument;
  struct assay_request* r = bpf_map_lookup_elem(&requests, &tid);
  if (r && r->inode == (u64)file->f_inode) r->mark = argument >> 32;
  return -EXDEV; /* it is not the file system's to answer */
}

/* Of a program with another size of long. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(on_ioctl_compat, struct file* file, unsigned int command, unsigned long argument, int ret) {
  if (ret == 0) ioctl_called(file, command);
  return ret;
}
