/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Clean or not: the states of inodes, and what their file systems allow.
 */
#pragma once

/* Every change of a file's content passes the hooks in lsm_writers.bpf.h. Source: include/uapi/linux/magic.h.
 */
static __always_inline bool is_watched_magic(unsigned long magic) {
  switch (magic) {
    case 0xEF53:     /* ext2, ext3, ext4 */
    case 0x58465342: /* xfs */
    case 0x9123683E: /* btrfs */
    case 0xF2F52010: /* f2fs */
    case 0x73717368: /* squashfs */
    case 0xE0F5E1E2: /* erofs */
    case 0x9660:     /* iso9660 */
    case 0x4d44:     /* vfat */
    case 0x2011BAB0: /* exfat */
    case MAGIC_TMPFS:
    case MAGIC_RAMFS:
      return true;
  }
  return false;
}

static __always_inline bool is_served_magic(unsigned long magic) {
  switch (magic) {
    case 0x65735546: /* fuse, virtiofs */
    case 0x6969:     /* nfs */
    case 0xFF534D42: /* cifs */
    case 0xFE534D42: /* smb2 */
    case 0x01021997: /* 9p */
    case 0x00c36400: /* ceph */
    case 0x5346414F: /* afs */
      return true;
  }
  return false;
}

/* ASSAY_VOLATILE and ASSAY_SERVED of a file system. */
static __always_inline u32 flags_of(struct super_block* sb) {
  unsigned long magic = BPF_CORE_READ(sb, s_magic);
  if (is_served_magic(magic)) return ASSAY_VOLATILE | ASSAY_SERVED;
  if (!is_watched_magic(magic)) return ASSAY_VOLATILE;
  /* memfd and SysV shared memory: they are written to without ever being opened. */
  if (BPF_CORE_READ(sb, s_flags) & SB_KERNMOUNT) return ASSAY_VOLATILE;
  return magic == MAGIC_TMPFS || magic == MAGIC_RAMFS ? 0 : storage_flags(sb, magic);
}

/* The inode under an overlayfs one that holds the data; null if that can't be told. It is only looked at. */
static __always_inline struct inode* real_inode(struct inode* inode) {
  if (!bpf_core_type_exists(struct ovl_inode)) return NULL;
  struct ovl_inode* o = (void*)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
  struct dentry* d = BPF_CORE_READ(o, __upperdentry);
  if (!d) {
    struct ovl_entry* lower = BPF_CORE_READ(o, oe);
    if (!lower) return NULL;
    u32 n = BPF_CORE_READ(lower, __numlower);
    if (n == 0) return NULL;
    /* The last layer has the data, also where the first has only the metadata (metacopy). A file that is not
     * split has one layer. */
    u64 stack = (u64)lower + bpf_core_field_offset(struct ovl_entry, __lowerstack);
    u64 at = stack + (u64)(n - 1) * bpf_core_type_size(struct ovl_path) +
             bpf_core_field_offset(struct ovl_path, dentry);
    bpf_probe_read_kernel(&d, sizeof(d), (void*)at);
  }
  return d ? BPF_CORE_READ(d, d_inode) : NULL;
}

/* What a measurement notes when it starts. */
struct look {
  struct inode_state* state;
  struct stamp at;
  u32 flags;
};

static __always_inline bool same_real(const struct stamp* at, struct inode* inode) {
  u64 real = (u64)real_inode(inode);
  if (!real || at->real != real) return false;
  u64* seq = bpf_map_lookup_elem(&real_inodes, &real);
  return seq && *seq == at->real_seq;
}

static __always_inline bool holds(const struct stamp* at, const struct inode_state* s,
                                  const struct assay_control* c, struct inode* inode) {
  if (at->seq != s->write_seq + 1 || at->epoch != c->epoch) return false;
  unsigned long magic = inode->i_sb->s_magic;
  if (magic != MAGIC_TMPFS && magic != MAGIC_RAMFS && at->raw_seq != c->raw_seq) return false;
  return magic != MAGIC_OVERLAY || same_real(at, inode);
}

static __always_inline bool is_clean(const struct inode_state* s, const struct assay_control* c,
                                     struct inode* inode) {
  return holds(&s->clean, s, c, inode);
}

static __always_inline bool is_data(const struct inode_state* s, const struct assay_control* c,
                                    struct inode* inode) {
  return holds(&s->data, s, c, inode);
}

/* The order matters: sequence first, writers second. A writer does it the other way round. */
static __always_inline void look_at(struct look* l, struct inode* inode, struct assay_control* c) {
  struct super_block* sb = inode->i_sb;
  l->at.seq = *(volatile u64*)&l->state->write_seq + 1;
  l->at.raw_seq = *(volatile u64*)&c->raw_seq;
  l->at.epoch = *(volatile u64*)&c->epoch;
  l->at.real = 0;
  l->at.real_seq = 0;
  int writers = inode->i_writecount.counter;
  if (sb->s_magic == MAGIC_OVERLAY) {
    struct inode* real = real_inode(inode);
    l->flags = ASSAY_VOLATILE;
    if (real) {
      l->at.real = (u64)real;
      u64 one = 1;
      bpf_map_update_elem(&real_inodes, &l->at.real, &one, BPF_NOEXIST);
      u64* seq = bpf_map_lookup_elem(&real_inodes, &l->at.real);
      if (seq) {
        l->at.real_seq = *(volatile u64*)seq;
        l->flags = flags_of(BPF_CORE_READ(real, i_sb));
      }
      writers = BPF_CORE_READ(real, i_writecount.counter);
    }
  } else {
    l->flags = flags_of(sb);
  }
  if (writers > 0) l->flags |= ASSAY_WRITERS;
  if (*(volatile u32*)&c->raw_writers) l->flags |= ASSAY_VOLATILE;
}

static __always_inline void remember(struct look* l, u32 answer) {
  if (l->flags & (ASSAY_WRITERS | ASSAY_VOLATILE)) return;
  if (answer & ASSAY_ANSWER_CLEAN) l->state->clean = l->at;
  if (answer & ASSAY_ANSWER_DATA) l->state->data = l->at;
}
