/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The fields of the kernel's types that the hooks read. preserve_access_index makes the loader find each
 * field in the running kernel's BTF, so only names and types matter here, not order or completeness.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;
enum { false, true };
typedef unsigned long size_t;

#define NULL ((void*)0)
#define EPERM 1
#define EINTR 4
#define ENOMEM 12
#define EACCES 13
#define EEXIST 17
#define EXDEV 18
#define EINVAL 22
#define ENOSYS 38
#define CAP_SYS_ADMIN 21

/* The constants of bpf.h that are used here; the values are part of the system call interface. */
enum {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_LRU_HASH = 9,
  BPF_MAP_TYPE_RINGBUF = 27,
  BPF_MAP_TYPE_INODE_STORAGE = 28,
  BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_LINK_CREATE = 28, BPF_LINK_GET_FD_BY_ID = 30 };
enum { BPF_TRACE_UPROBE_MULTI = 48 };
enum { BPF_F_NO_PREALLOC = 1U << 0, BPF_F_MMAPABLE = 1U << 10 };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };

/* Opaque to the program; the verifier knows them by these names. */
struct bpf_dynptr {
  __u64 opaque[2];
} __attribute__((aligned(8)));
struct kernel_siginfo;
struct fown_struct;
struct mnt_idmap;
struct iattr;
struct cred;
struct user_namespace;
struct kernfs_node;
union bpf_attr;
struct bpf_token;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
  int counter;
} atomic_t;

struct block_device;
struct anon_vma;
struct userfaultfd_ctx;

struct super_block {
  u32 s_dev;
  unsigned long s_flags;
  unsigned long s_magic;
  struct block_device* s_bdev;
};

struct inode {
  unsigned short i_mode;
  struct super_block* i_sb;
  unsigned long i_ino;
  u32 i_rdev;
  atomic_t i_writecount;
  atomic_t i_readcount;
  u32 i_generation;
  long long i_size;
};

struct qstr {
  u32 len;
  const unsigned char* name;
};

struct dentry {
  struct dentry* d_parent;
  struct qstr d_name;
  struct inode* d_inode;
};

struct vfsmount {
  struct super_block* mnt_sb;
};

struct mnt_namespace;

struct mount {
  struct vfsmount mnt;
  struct mnt_namespace* mnt_ns;
  int mnt_id;
};

struct path {
  struct vfsmount* mnt;
  struct dentry* dentry;
};

struct file {
  u32 f_mode;
  u32 f_flags;
  struct inode* f_inode;
  struct path f_path;
};

struct linux_binprm {
  struct file* file;
  unsigned is_check : 1;
};

struct vm_userfaultfd_ctx {
  struct userfaultfd_ctx* ctx;
};

struct vm_area_struct {
  unsigned long vm_start;
  unsigned long vm_flags;
  struct anon_vma* anon_vma;
  struct file* vm_file;
  struct vm_userfaultfd_ctx vm_userfaultfd_ctx;
};

struct fs_struct {
  struct path root;
};

struct mm_struct {
  unsigned long arg_start, arg_end;
  struct file* exe_file;
};

struct task_struct {
  struct mm_struct* mm;
  int pid, tgid;
  unsigned personality;
  unsigned in_execve : 1;
  struct fs_struct* fs;
  struct task_struct* group_leader;
  struct task_struct* real_parent;
};

/* A type in a kernel function's prototype must be complete; which field it has does not matter. */
struct cgroup {
  int level;
};

struct upid {
  int nr;
};

struct pid {
  struct upid numbers[1];
};

struct proc_inode {
  struct pid* pid;
  struct inode vfs_inode;
};

struct pt_regs {
  unsigned long orig_ax;
};

struct pmu {
  const char* name;
};

struct perf_event {
  struct pmu* pmu;
};

struct bpf_map {
  u32 id;
};

struct bpf_prog_aux {
  u32 id;
  char name[16];
};

struct bpf_insn {
  u8 code;
};

struct bpf_prog {
  u32 len;
  struct bpf_prog_aux* aux;
  struct bpf_insn insnsi[0];
};

/* iattr under another name, with the only field that is needed. */
struct iattr___assay {
  u32 ia_valid;
};

/* The capabilities of a task; the field is a structure since Linux 6.3. */
struct kernel_cap___assay {
  u64 val;
};
struct user_namespace___assay {
  int level;
};
struct kernel_id___assay {
  u32 val;
};
struct cred___assay {
  struct kernel_id___assay euid, egid;
  struct kernel_cap___assay cap_effective;
  struct user_namespace___assay* user_ns;
};
struct task_struct___cred {
  struct cred___assay* cred;
};

/* Types of the overlay module, if it is present when the programs are loaded. */
struct ovl_path {
  struct dentry* dentry;
};
struct ovl_entry {
  u32 __numlower;
  struct ovl_path __lowerstack[0];
};
struct ovl_inode {
  unsigned long flags;
  struct inode vfs_inode;
  struct dentry* __upperdentry;
  struct ovl_entry* oe;
};

#pragma clang attribute pop

/* Numbers of bits in ovl_inode.flags. */
enum ovl_inode_flag { OVL_UPPERDATA = 3 };
/* The loader finds these by name and puts in the running kernel's values. */
enum lockdown_reason {
  LOCKDOWN_EFI_TEST = 1,
  LOCKDOWN_PCI_ACCESS,
  LOCKDOWN_IOPORT,
  LOCKDOWN_MSR,
  LOCKDOWN_ACPI_TABLES,
  LOCKDOWN_DEVICE_TREE,
  LOCKDOWN_PCMCIA_CIS,
  LOCKDOWN_TIOCSSERIAL,
  LOCKDOWN_MODULE_PARAMETERS,
  LOCKDOWN_MMIOTRACE,
  LOCKDOWN_BPF_WRITE_USER,
  LOCKDOWN_DBG_WRITE_KERNEL,
};

/* Constants of the kernel's interfaces. */
#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFCHR 0020000
#define FMODE_READ 1U
#define FMODE_WRITE 2U
#define FMODE_EXEC 32U
#define PROT_WRITE 2UL
#define PROT_EXEC 4UL
#define VM_EXEC 4UL
#define VM_SHARED 8UL
#define READ_IMPLIES_EXEC 0x0400000U
#define MAP_PRIVATE 2UL
#define MAP_TYPE 15UL
#define ATTR_SIZE (1U << 3)
#define ATTR_FILE (1U << 13)
#define O_TRUNC 01000U
#define SB_KERNMOUNT (1UL << 22)
#define PTRACE_MODE_ATTACH 2U
#define SIGCONT 18
#define SIGIO 29
#define PR_SET_MM 35
#define PR_SET_MM_EXE_FILE 13
#define PR_SET_MM_MAP 14
#define READING_KEXEC 3
#define READING_KEXEC_INITRAMFS 4
#define LOADING_KEXEC_IMAGE 3

#define MAGIC_OVERLAY 0x794c7630
#define MAGIC_TMPFS 0x01021994
#define MAGIC_RAMFS 0x858458f6
#define MAGIC_PROC 0x9fa0
#define MAGIC_SYSFS 0x62656572
#define MAGIC_BTRFS 0x9123683E
#define MAGIC_BPF 0xcafe4a11

#define MAJOR(dev) ((dev) >> 20)
#define MINOR(dev) ((dev) & 0xfffff)
#define MAJOR_MEM 1
#define MAJOR_SCSI_GENERIC 21
#define DEV_NULL (MAJOR_MEM << 20 | 3)
#define DEV_MAPPER_CONTROL (10 << 20 | 236)
