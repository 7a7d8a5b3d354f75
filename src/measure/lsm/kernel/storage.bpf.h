/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The storage under file systems. The attester examines the devices under each file system and tells whether
 * it can hold clean files. Until then, and after each change of raw_seq, it can't.
 */
#pragma once

/* By the superblock's address; removed with the superblock. Only the hooks write to this map. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 8192);
  __type(key, u64);
  __type(value, struct assay_storage);
} storages SEC(".maps");

/* By assay_storage.id, which is never reused, so that a late answer can't apply to another file system. Only
 * the attester writes to this map. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, u64);
  __type(value, struct assay_storage_answer);
} storage_answers SEC(".maps");

#define STORAGE_UNKNOWN (ASSAY_VOLATILE | ASSAY_SERVED | ASSAY_UNJUDGED)

/* ASSAY_VOLATILE and ASSAY_SERVED of a file system on devices. */
static __always_inline u32 storage_flags(struct super_block* sb, u32 magic) {
  struct assay_control* c = the_control();
  if (!c) return STORAGE_UNKNOWN;
  u64 raw_seq = *(volatile u64*)&c->raw_seq;
  u64 key = (u64)sb;
  u32 dev = BPF_CORE_READ(sb, s_dev);
  struct assay_storage* known = bpf_map_lookup_elem(&storages, &key);
  if (!known || known->dev != dev) {
    struct assay_storage found = {
        .id = __sync_fetch_and_add(&c->storages, 1) + 1, .dev = dev, .magic = magic};
    bpf_map_update_elem(&storages, &key, &found, BPF_ANY);
    return STORAGE_UNKNOWN;
  }
  u64 id = known->id;
  struct assay_storage_answer* answer = bpf_map_lookup_elem(&storage_answers, &id);
  return answer && answer->raw_seq == raw_seq ? answer->flags : STORAGE_UNKNOWN;
}

SEC("lsm/sb_free_security")
void BPF_PROG(on_super_free, struct super_block* sb) {
  u64 key = (u64)sb;
  bpf_map_delete_elem(&storages, &key);
}

/* Approximates the check of CAP_SYS_ADMIN in the system call, whose function can't be called here. */
static __always_inline bool is_admin(void) {
  struct task_struct___cred* me = (void*)bpf_get_current_task_btf();
  u64 capabilities = BPF_CORE_READ(me, cred, cap_effective.val);
  return capabilities & 1ULL << CAP_SYS_ADMIN && BPF_CORE_READ(me, cred, user_ns, level) == 0;
}

/* Whether the call may replace the storage under a mounted file system. Sources:
 * include/uapi/linux/dm-ioctl.h, raid/md_u.h, btrfs.h. */
static __always_inline bool changes_storage(struct file* file, u32 command) {
  struct inode* inode = file->f_inode;
  u32 type = inode->i_mode & S_IFMT;
  u32 number = command & 0xff;
  switch (command >> 8 & 0xff) {
    case 0xfd: /* device-mapper: DM_DEV_SUSPEND, which also resumes; DM_TABLE_LOAD; DM_TARGET_MSG */
      if (type != S_IFCHR || inode->i_rdev != DEV_MAPPER_CONTROL) return false;
      if (number != 6 && number != 9 && number != 14) return false;
      break;
    case 0x09: /* md: all calls that don't only query */
      if (type != S_IFBLK || number < 0x20) return false;
      break;
    case 0x94: /* btrfs: ADD_DEV, RM_DEV, DEV_REPLACE, RM_DEV_V2 */
      if (inode->i_sb->s_magic != MAGIC_BTRFS) return false;
      if (number != 10 && number != 11 && number != 53 && number != 58) return false;
      break;
    default:
      return false;
  }
  return is_admin();
}

#define MAX_NAME 24

static __always_inline bool is_named(struct dentry* dentry, const char* name, u32 size) {
  char found[MAX_NAME] = {};
  bpf_probe_read_kernel_str(found, sizeof(found), BPF_CORE_READ(dentry, d_name.name));
#pragma clang loop unroll(full)
  for (u32 i = 0; i < size && i < MAX_NAME; ++i)
    if (found[i] != name[i]) return false;
  return true;
}
#define IS_NAMED(dentry, name) is_named(dentry, name, sizeof(name))

/* Whether it is a file in /sys/block/mdN/md or in a folder there, except those that start and pace the
 * comparison of the array's members. */
static __always_inline bool is_md_setting(struct file* file) {
  struct dentry* dentry = file->f_path.dentry;
  char name[8] = {};
  bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
  if (name[0] == 's' && name[1] == 'y' && name[2] == 'n' && name[3] == 'c' && name[4] == '_') return false;
  struct dentry* parent = BPF_CORE_READ(dentry, d_parent);
  return IS_NAMED(parent, "md") || IS_NAMED(BPF_CORE_READ(parent, d_parent), "md");
}
