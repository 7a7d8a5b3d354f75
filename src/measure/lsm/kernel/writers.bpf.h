/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Hooks where a file's content or name may change, through its file system or around it.
 */
#pragma once

/* Notes that content or name may change from now on. An inode without a state was never measured and needs
 * none. Returns whether the file is in use. */
static __always_inline bool raise(struct inode* inode, u64 by) {
  u64 address = (u64)inode;
  struct assay_real_state* r = bpf_map_lookup_elem(&real_inodes, &address);
  struct inode_state* s = bpf_inode_storage_get(&inodes, inode, 0, 0);
  if (r) __sync_fetch_and_add(&r->write_seq, by);
  if (s) __sync_fetch_and_add(&s->write_seq, by);
  return by == NEW_CONTENT && end_use(inode, s, r);
}

static __always_inline void raw_device_opened(struct assay_control* c, struct file* file) {
  /* The event comes first, because afterwards the program that does it is not clean any more and its digest
   * is unknown. */
  if (c->active) tell_file(c, ASSAY_RAW_DEVICE, 0, file);
  u64 address = (u64)file;
  u32 one = 1;
  /* The close of a file that found no place in the map is not seen, so that no file becomes clean again. */
  int added = bpf_map_update_elem(&raw_files, &address, &one, BPF_NOEXIST);
  if (added != -EEXIST) __sync_fetch_and_add(&c->raw_writers, 1);
  if (added && added != -EEXIST) unasked(c);
  __sync_fetch_and_add(&c->raw_seq, 1);
}

/* /dev/snapshot takes a hibernation image, which replaces the kernel's memory. */
#define DEVICE_SNAPSHOT (10U << 20 | 231)

/* Whether it is a character device for raw commands to a disk, which need not be open for writing for that.
 */
static __always_inline bool takes_commands(const struct assay_control* c, u32 device) {
  u32 major = MAJOR(device);
  return major && (major == c->bsg_major || major == c->nvme_major);
}

static __always_inline void opened_for_writing(struct assay_control* c, struct file* file) {
  struct inode* inode = file->f_inode;
  u32 type = inode->i_mode & S_IFMT;
  if (type == S_IFBLK) {
    raw_device_opened(c, file);
  } else if (type == S_IFCHR) {
    u32 device = inode->i_rdev;
    if (MAJOR(device) == MAJOR_SCSI_GENERIC) raw_device_opened(c, file);
    bool memory =
        device == DEVICE_SNAPSHOT ||
        (MAJOR(device) == MAJOR_MEM && (MINOR(device) == 1 || MINOR(device) == 2 || MINOR(device) == 4));
    if (device == DEV_NULL) is_probe(c, ASSAY_PULSE_OPEN);
    if (memory && c->active) tell_file(c, ASSAY_KERNEL_MEMORY, 0, file);
  } else if (type == S_IFREG) {
    if (inode->i_sb->s_magic == MAGIC_PROC) {
      if (c->active && IS_NAMED(file->f_path.dentry, "mem") && !my_role())
        tell_file(c, ASSAY_PROCESS_ACCESS, 0, file);
      proc_opened(c, file);
    } else if (inode->i_sb->s_magic == MAGIC_SYSFS) {
      if (is_md_setting(file)) raw_device_opened(c, file);
    } else if (raise(inode, NEW_CONTENT) && c->active) {
      tell_file(c, ASSAY_TOMTOU, 0, file);
    }
  }
}

SEC("lsm.s/file_open")
int BPF_PROG(on_open, struct file* file) {
  struct assay_control* c = the_control();
  if (!c) return 0;
  int refused = guard_open(c, file);
  if (refused) return refused;
  struct inode* inode = file->f_inode;
  if ((inode->i_mode & S_IFMT) == S_IFCHR && takes_commands(c, inode->i_rdev)) raw_device_opened(c, file);
  if (file->f_mode & FMODE_WRITE) {
    opened_for_writing(c, file);
    /* The file may be open for reading too. An empty file has no content that could be interpreted. */
    if (!(file->f_mode & FMODE_READ) || file->f_flags & O_TRUNC || inode->i_size == 0) return 0;
  }
  /* An open for execution reaches bprm_check_security. */
  if (!c->active || !c->opens || !is_regular(inode) || file->f_flags & FMODE_EXEC) return 0;
  unsigned long magic = inode->i_sb->s_magic;
  if (!is_watched_magic(magic) && is_pseudo_magic(magic)) return 0;
  return open_to_read(c, file);
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

/* Truncation by path. (For truncation by descriptor, the file was opened for writing before.) The hook gets
 * only the last name. */
SEC("lsm.s/inode_setattr")
int BPF_PROG(on_setattr, struct mnt_idmap* idmap, struct dentry* dentry, struct iattr___assay* attr) {
  u32 what = BPF_CORE_READ(attr, ia_valid);
  struct inode* inode = dentry->d_inode;
  if (!(what & ATTR_SIZE) || !inode) return 0;
  struct assay_control* c = the_control();
  if (is_probe(c, ASSAY_PULSE_SETATTR)) return 0;
  if (!raise(inode, NEW_CONTENT) || what & ATTR_FILE || !is_active(c)) return 0;
  struct assay_event* e = new_event(c, ASSAY_TOMTOU, 0);
  if (!e) return 0;
  fill_inode(e, inode);
  fill_last_name(e, dentry);
  bpf_ringbuf_submit(e, 0);
  return 0;
}

/* The content stays, but the file is recorded again with its new name. */
SEC("lsm.s/inode_rename")
int BPF_PROG(on_rename, struct inode* old_dir, struct dentry* old_dentry, struct inode* new_dir,
             struct dentry* new_dentry) {
  struct inode* inode = old_dentry->d_inode;
  if (inode && !is_probe(the_control(), ASSAY_PULSE_RENAME)) raise(inode, NEW_NAME);
  return 0;
}

SEC("lsm/inode_link")
int BPF_PROG(on_link, struct dentry* old_dentry, struct inode* dir, struct dentry* new_dentry) {
  struct inode* inode = old_dentry->d_inode;
  if (inode && !is_probe(the_control(), ASSAY_PULSE_LINK)) raise(inode, NEW_NAME);
  return 0;
}

/* The address may be reused for another inode. */
SEC("lsm/inode_free_security")
void BPF_PROG(on_inode_free, struct inode* inode) {
  u64 address = (u64)inode;
  is_probe(the_control(), ASSAY_PULSE_INODE_FREE);
  bpf_map_delete_elem(&real_inodes, &address);
}

/* This call exchanges the data of two inodes without an open for writing. Source: EXT4_IOC_SWAP_BOOT. */
#define IOCTL_SWAP_BOOT 0x6611

/* A task that registers memory with userfaultfd supplies its pages from then on, also executable ones. The
 * hook can't tell which memory, because the task may change the arguments after they were read. */
#define IOCTL_USERFAULT_REGISTER 0xc020aa00

/* The storage counts as changing until the file is closed, because the end of the call can't be seen. */
static __always_inline void storage_changes(struct assay_control* c, struct file* file) {
  u64 address = (u64)file;
  if (bpf_map_lookup_elem(&raw_files, &address))
    __sync_fetch_and_add(&c->raw_seq, 1);
  else
    raw_device_opened(c, file);
}

static __always_inline void told_by_ioctl(struct file* file, u32 command) {
  struct assay_control* c = the_control();
  if (!c) return;
  if (changes_storage(file, command)) storage_changes(c, file);
  bool swapped = command == IOCTL_SWAP_BOOT && raise(file->f_inode, NEW_CONTENT);
  if (!swapped && command != IOCTL_USERFAULT_REGISTER) return;
  if (!is_active(c)) return;
  if (swapped)
    tell_file(c, ASSAY_TOMTOU, 0, file);
  else
    tell_memory(c, ASSAY_USERFAULT, 0);
}

SEC("lsm.s/file_ioctl")
int BPF_PROG(on_ioctl, struct file* file, unsigned int command, unsigned long argument) {
  if (command != ASSAY_IDENTIFY) {
    told_by_ioctl(file, command);
    return 0;
  }
  if (!(my_role() & ASSAY_ROLE_AGENT)) return 0;
  is_probe(the_control(), ASSAY_PULSE_IOCTL);
  u32 tid = argument;
  struct assay_request* r = bpf_map_lookup_elem(&requests, &tid);
  if (r && r->inode == (u64)file->f_inode) r->mark = argument >> 32;
  return -EXDEV; /* the file system must not get this call */
}
