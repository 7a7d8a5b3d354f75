/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The states of inodes: whether they are clean, and whether their file systems allow that.
 */
#pragma once

/* File systems where every change of content passes the hooks of the writers' header. Source:
 * include/uapi/linux/magic.h. */
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

/* File systems of the kernel, which hold no stored content. A read may have side effects there. */
static __always_inline bool is_pseudo_magic(unsigned long magic) {
  switch (magic) {
    case MAGIC_PROC:
    case MAGIC_BPF:
    case 0x62656572: /* sysfs */
    case 0x27e0eb:   /* cgroup */
    case 0x63677270: /* cgroup2 */
    case 0x1cd1:     /* devpts */
    case 0x73636673: /* securityfs */
    case 0x64626720: /* debugfs */
    case 0x74726163: /* tracefs */
    case 0x6165676C: /* pstore */
    case 0x62656570: /* configfs */
    case 0x65735543: /* fusectl */
    case 0x19800202: /* mqueue */
    case 0x42494e4d: /* binfmt_misc */
    case 0xf97cff8c: /* selinuxfs */
    case 0x43415d53: /* smackfs */
    case 0x5a3c69f0: /* apparmorfs */
    case 0xde5e81e4: /* efivarfs */
    case 0x67596969: /* rpc_pipefs */
    case 0x6e667364: /* nfsd */
    case 0x7655821:  /* resctrl */
    case 0xabba1974: /* xenfs */
    case 0x9fa2:     /* usbdevfs */
    case 0xa647361:  /* functionfs */
    case 0xaee71ee7: /* gadgetfs */
    case 0x6e736673: /* nsfs */
    case 0x50494446: /* pidfs */
    case 0x50495045: /* pipefs */
    case 0x534F434B: /* sockfs */
    case 0x62646576: /* bdev */
    case 0x444d4142: /* dma-buf */
    case 0x5345434d: /* secretmem */
    case 0x09041934: /* anon_inodefs */
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
  /* memfd and SysV shared memory can be written to without an open. */
  if (BPF_CORE_READ(sb, s_flags) & SB_KERNMOUNT) return ASSAY_VOLATILE;
  return magic == MAGIC_TMPFS || magic == MAGIC_RAMFS ? 0 : storage_flags(sb, magic);
}

/* The inode that holds the data of an overlayfs inode; null if it can't be found. The hooks only read from
 * it. */
static __always_inline struct inode* real_inode(struct inode* inode) {
  if (!bpf_core_type_exists(struct ovl_inode) || !bpf_core_field_exists(struct ovl_inode, oe) ||
      !bpf_core_field_exists(struct ovl_inode, flags) ||
      !bpf_core_field_exists(struct ovl_entry, __lowerstack) ||
      !bpf_core_enum_value_exists(enum ovl_inode_flag, OVL_UPPERDATA))
    return NULL;
  struct ovl_inode* o = (void*)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
  struct dentry* d = BPF_CORE_READ(o, __upperdentry);
  /* With metacopy the upper inode may have only the metadata. */
  u64 upper_data = 1ULL << bpf_core_enum_value(enum ovl_inode_flag, OVL_UPPERDATA);
  if (!d || !(BPF_CORE_READ(o, flags) & upper_data)) {
    struct ovl_entry* lower = BPF_CORE_READ(o, oe);
    if (!lower) return NULL;
    u32 n = BPF_CORE_READ(lower, __numlower);
    if (n == 0) return NULL;
    /* The last layer has the data, even if the others have only metadata. It is null until overlayfs has
     * looked it up. */
    u64 stack = (u64)lower + bpf_core_field_offset(struct ovl_entry, __lowerstack);
    u64 at = stack + (u64)(n - 1) * bpf_core_type_size(struct ovl_path) +
             bpf_core_field_offset(struct ovl_path, dentry);
    d = NULL;
    bpf_probe_read_kernel(&d, sizeof(d), (void*)at);
  }
  return d ? BPF_CORE_READ(d, d_inode) : NULL;
}

/* The address of the inode whose pages hold the data: the real inode for overlayfs, else the inode itself. */
static __always_inline u64 data_inode(struct inode* inode) {
  return inode->i_sb->s_magic == MAGIC_OVERLAY ? (u64)real_inode(inode) : (u64)inode;
}

static const struct assay_real_state empty_real;

/* Finds or makes the state; null: no memory. */
static __always_inline struct assay_real_state* real_state(u64 address) {
  struct assay_real_state* r = bpf_map_lookup_elem(&real_inodes, &address);
  if (r) return r;
  bpf_map_update_elem(&real_inodes, &address, &empty_real, BPF_NOEXIST);
  return bpf_map_lookup_elem(&real_inodes, &address);
}

/* The state at the start of a measurement. */
struct look {
  struct inode_state* state;
  struct stamp at;
  u64 data;   /* data_inode() */
  u32 shared; /* real_state.shared of that inode */
  u32 flags;
};

static __always_inline bool same_real(const struct stamp* at, struct inode* inode) {
  u64 real = (u64)real_inode(inode);
  if (!real || at->real != real) return false;
  struct assay_real_state* r = bpf_map_lookup_elem(&real_inodes, &real);
  return r && r->write_seq == at->real_seq;
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

/* The order matters: first the sequences are read, then the writers, then the shared mappings. A writer uses
 * the opposite order: the kernel counts it before it raises the sequence, and until after it has mapped the
 * file. */
static __always_inline void look_at(struct look* l, struct inode* inode, struct assay_control* c) {
  struct super_block* sb = inode->i_sb;
  l->at.seq = *(volatile u64*)&l->state->write_seq + 1;
  l->at.raw_seq = *(volatile u64*)&c->raw_seq;
  l->at.epoch = *(volatile u64*)&c->epoch;
  l->at.real = 0;
  l->at.real_seq = 0;
  l->data = data_inode(inode);
  int writers = inode->i_writecount.counter;
  if (sb->s_magic == MAGIC_OVERLAY) {
    struct inode* real = (void*)l->data;
    l->flags = ASSAY_VOLATILE;
    if (real) {
      l->at.real = l->data;
      struct assay_real_state* r = real_state(l->data);
      if (r) {
        l->at.real_seq = *(volatile u64*)&r->write_seq;
        l->flags = flags_of(BPF_CORE_READ(real, i_sb));
      }
      writers = BPF_CORE_READ(real, i_writecount.counter);
    }
  } else {
    l->flags = flags_of(sb);
  }
  if (writers > 0) l->flags |= ASSAY_WRITERS;
  if (*(volatile u32*)&c->raw_writers) l->flags |= ASSAY_VOLATILE;
  struct assay_real_state* r = bpf_map_lookup_elem(&real_inodes, &l->data);
  if (!r) return;
  l->shared = *(volatile u32*)&r->shared;
  if (l->shared != r->unpinned) l->flags |= ASSAY_SHARED;
}

/* Called after the answer. The first question about a file system has it judged, so what is known now counts:
 * a judgement is only valid with the raw_seq that is in the stamp, too. */
static __always_inline void look_again(struct look* l, struct inode* inode, const struct assay_control* c) {
  if (!(l->flags & ASSAY_UNJUDGED)) return;
  struct super_block* sb = inode->i_sb;
  if (sb->s_magic == MAGIC_OVERLAY) {
    struct inode* real = (void*)l->data;
    if (!real) return;
    sb = BPF_CORE_READ(real, i_sb);
  }
  u32 now = flags_of(sb);
  if (now & ASSAY_UNJUDGED) return;
  l->flags = (l->flags & ~STORAGE_UNKNOWN) | now;
  if (*(volatile u32*)&c->raw_writers) l->flags |= ASSAY_VOLATILE;
}

static __always_inline void remember(struct look* l, u32 answer) {
  if (answer & ASSAY_ANSWER_UNPINNED) {
    struct assay_real_state* r = bpf_map_lookup_elem(&real_inodes, &l->data);
    if (r) r->unpinned = l->shared;
    l->flags &= ~ASSAY_SHARED;
  }
  if (l->flags & (ASSAY_WRITERS | ASSAY_VOLATILE | ASSAY_SHARED)) return;
  if (answer & ASSAY_ANSWER_CLEAN) l->state->clean = l->at;
  if (answer & ASSAY_ANSWER_DATA) l->state->data = l->at;
  if (answer & ASSAY_ANSWER_NO_SCRIPT) l->state->no_script = l->at;
}

/* The file is in use now, with the measured content. From here on a writer sends an event. Returns whether a
 * writer came during the measurement, which did not yet know that the file is used. */
static __always_inline bool begin_use(struct look* l) {
  __sync_fetch_and_or(&l->state->used, 1);
  bool changed = (u32)(*(volatile u64*)&l->state->write_seq - (l->at.seq - 1)) != 0;
  struct assay_real_state* r = l->at.real ? bpf_map_lookup_elem(&real_inodes, &l->at.real) : NULL;
  if (r) {
    __sync_fetch_and_or(&r->used, 1);
    changed |= (u32)(*(volatile u64*)&r->write_seq - l->at.real_seq) != 0;
  }
  return changed && !(l->flags & ASSAY_WRITERS); /* else the writers were already reported */
}

/* Whether the file was measured and is still open for reading, as it is while it is mapped. True only once
 * until the next measurement. A kernel without IMA does not count readers; then the file always counts as in
 * use. */
static __always_inline bool end_use(struct inode* inode, struct inode_state* s, struct assay_real_state* r) {
  u32 used = 0;
  if (s) used |= __sync_fetch_and_and(&s->used, 0);
  if (r) used |= __sync_fetch_and_and(&r->used, 0);
  return used && (!bpf_core_field_exists(inode->i_readcount) || inode->i_readcount.counter > 0);
}
