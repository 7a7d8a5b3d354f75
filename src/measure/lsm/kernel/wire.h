// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The data that the lsm engine's BPF programs and the attester exchange: the values of the maps, the events
// of the ring buffer and the answer to a request. Shared by BPF C and C++.
//
//   struct assay_request request = {};   // requests[thread id], while the thread waits
//   struct assay_answer answer = {}; // the value of the extended attribute user.assay, which ends the wait
//
// Contract: fixed sizes, no pointers; every layout is asserted. Every change here raises ASSAY_WIRE_VERSION,
// so that an attester does not adopt the pinned programs of another version.
#ifndef ASSAY_MEASURE_LSM_WIRE_H
#define ASSAY_MEASURE_LSM_WIRE_H

#ifdef __bpf__
#define ASSAY_ASSERT(condition) _Static_assert(condition, #condition)
#else
#include <linux/types.h>
#define ASSAY_ASSERT(condition) static_assert(condition, #condition)
#endif

#define ASSAY_WIRE_VERSION 12
#define ASSAY_PATH 1024 /* for a longer path the attester takes the name from its descriptor */
#define ASSAY_COMM 16   /* TASK_COMM_LEN */
#define ASSAY_DIGEST 32 /* SHA-256 */
#define ASSAY_XATTR "user.assay"
/* Bytes of a command line. */
#define ASSAY_WORDS 512
/* ioctl(candidate, ASSAY_IDENTIFY, mark << 32 | thread id) always fails with EXDEV. If the candidate is the
 * file that the thread waits for, the thread's request has the mark afterwards. */
#define ASSAY_IDENTIFY 0x41535359

/* The detail of ASSAY_EXEC where nothing is executed: the task asks whether it may (AT_EXECVE_CHECK). */
#define ASSAY_EXEC_IS_ASKED 1U

/* What a task is about to do, or has done. */
enum assay_kind {
  ASSAY_EXEC = 1,    /* bprm_check_security: a program, a script, its interpreter. detail: 0, or _IS_ASKED */
  ASSAY_MMAP,        /* a file mapped executable */
  ASSAY_OPEN,        /* a file opened for reading: detail is the opening program, if known */
  ASSAY_KERNEL_READ, /* the kernel reads a file: detail is its READING_* number */
  ASSAY_BUFFER,      /* the kernel takes a buffer from user space: digest and size are set */
  ASSAY_BPF,         /* a BPF program is loaded: digest and size are set, path is its name */
  /* From here on: events of the ring buffer, not requests. */
  ASSAY_OWN_LOAD,       /* an exempt task loaded code */
  ASSAY_TOMTOU,         /* a measured file that is in use is opened for writing, or truncated */
  ASSAY_MPROTECT,       /* mprotect(PROT_EXEC) on a file that is not clean */
  ASSAY_MODIFIED_CODE,  /* ... on private pages that were written to */
  ASSAY_ANONYMOUS_CODE, /* executable memory without a file */
  ASSAY_WRITABLE_CODE,  /* memory that is writable and executable at once */
  ASSAY_PROCESS_ACCESS, /* ptrace, process_vm_writev, /proc/PID/mem: target is the other thread group */
  ASSAY_RAW_DEVICE,     /* a block device opened for writing */
  ASSAY_KERNEL_MEMORY,  /* /dev/mem or /dev/port opened for writing */
  ASSAY_KEXEC_LOAD,     /* a kernel image that the kernel loads without any check of it */
  ASSAY_CHANGED_BUFFER, /* the kernel read other content than was measured: digest is of what it read */
  ASSAY_GUARDED,        /* a task tried to access the attester and was refused: detail is an assay_guard */
  ASSAY_USERFAULT,      /* a task supplies the pages of memory itself (userfaultfd) */
  ASSAY_IDENTITY,       /* a task changes which program it seems to run (PR_SET_MM) */
  ASSAY_HOOKS_OFF,      /* kernel.ftrace_enabled opened for writing: it can switch these hooks off */
  ASSAY_LOCKDOWN,       /* an operation that lockdown would refuse: detail is an assay_reason */
  ASSAY_BUFFER_TAKEN,   /* the kernel took a buffer, and may still refuse it: digest and size are set */
  ASSAY_STARTED,        /* a program with a hook was executed: detail is the hook, address the time, ns */
  ASSAY_KINDS
};
ASSAY_ASSERT(ASSAY_KINDS <= 32); /* sets of them are words of 32 bits */

/* Of ASSAY_GUARDED: the way of the access. */
enum assay_guard {
  ASSAY_GUARD_SIGNAL = 1,
  ASSAY_GUARD_PTRACE,
  ASSAY_GUARD_BPF,
  ASSAY_GUARD_PINS,
  ASSAY_GUARD_UMOUNT,
  ASSAY_GUARD_SIGIO,   /* a signal by F_SETOWN */
  ASSAY_GUARD_MADVISE, /* process_madvise */
  ASSAY_GUARD_PROBE,   /* uprobes and kprobes */
  ASSAY_GUARD_PROC,    /* the attester's files in /proc, kcore, sysrq-trigger */
  ASSAY_GUARD_CGROUP,  /* cgroup.freeze, cgroup.kill */
  ASSAY_GUARD_HOOKS    /* kernel.ftrace_enabled */
};

/* Of ASSAY_LOCKDOWN: the kernel's enum lockdown_reason, whose numbers differ from kernel to kernel. */
enum assay_reason {
  ASSAY_REASON_EFI_TEST = 1,
  ASSAY_REASON_PCI_ACCESS,
  ASSAY_REASON_IOPORT,
  ASSAY_REASON_MSR,
  ASSAY_REASON_ACPI_TABLES,
  ASSAY_REASON_DEVICE_TREE,
  ASSAY_REASON_PCMCIA_CIS,
  ASSAY_REASON_TIOCSSERIAL,
  ASSAY_REASON_MODULE_PARAMETERS,
  ASSAY_REASON_MMIOTRACE,
  ASSAY_REASON_BPF_WRITE_USER,
  ASSAY_REASON_DBG_WRITE_KERNEL,
  ASSAY_REASONS
};

/* Flags of a request. */
#define ASSAY_WRITERS 1U   /* the file was open for writing */
#define ASSAY_VOLATILE 2U  /* it can't become clean: changes of the file system are not seen */
#define ASSAY_SERVED 4U    /* another program serves the file system: a read may block */
#define ASSAY_OUR_ROOT 8U  /* the task's root is the attester's: the path names the same file for both */
#define ASSAY_SHARED 16U   /* it was mapped shared and writable: its pages may still be in use elsewhere */
#define ASSAY_UNJUDGED 32U /* its file system's devices are not judged yet; besides VOLATILE and SERVED */
/* The task's command line is longer than `words`. */
#define ASSAY_WORDS_CUT 256U
#define ASSAY_REQUEST_PROGRAM 512U /* program is set */

struct assay_request {
  __u64 inode;  /* address of the inode (or BPF program): identifies it while it exists */
  __u64 size;   /* of a file or a buffer, bytes */
  __u64 ino;    /* the inode's number, as /proc/PID/fdinfo has it */
  __u64 since;  /* CLOCK_MONOTONIC, ns */
  __u64 cgroup; /* number of the task's control group */
  __u32 kind;
  __u32 detail;
  __u32 flags;
  __u32 tid, tgid, uid;
  __u32 mount; /* number of the mount through which the file was opened, as in /proc/PID/fdinfo */
  __u32 mark;  /* mark of the last ASSAY_IDENTIFY on this file */
  char comm[ASSAY_COMM];
  __u8 digest[ASSAY_DIGEST];
  char path[ASSAY_PATH]; /* as the task sees it; empty if it is too long */
  __u8 answer[64];       /* the attribute's value: struct assay_answer */

  /* Of files: the beginning of the task's command line; size 0: it is unknown. */
  char words[ASSAY_WORDS];
  __u32 words_size;
  __u32 euid, gid, egid; /* of the task, besides uid */

  __u8 program[ASSAY_DIGEST]; /* of ASSAY_BPF: the same of the program that loads it */
};
ASSAY_ASSERT(sizeof(struct assay_request) ==
             40 + 32 + 16 + 32 + ASSAY_PATH + 64 + ASSAY_WORDS + 16 + ASSAY_DIGEST);

#define ASSAY_ANSWER_CLEAN 1U  /* recorded: the file may be remembered as clean */
#define ASSAY_ANSWER_REFUSE 2U /* EACCES */
#define ASSAY_ANSWER_DIGEST 4U /* digest is set */
#define ASSAY_ANSWER_DATA 8U   /* not code: opens for reading need not ask again */
/* No other user of its pages exists. */
#define ASSAY_ANSWER_UNPINNED 16U
/* Not code for programs with ASSAY_PROGRAM_ANY either. */
#define ASSAY_ANSWER_NO_SCRIPT 256U

/* The kind of a program: an Interpreter's number (interpreters.h), and whether every file that it opens
 * counts as code; or a Reader's number (configuration.h). */
#define ASSAY_PROGRAM_NONE 1U
#define ASSAY_PROGRAM_ANY 0x80000000U
#define ASSAY_PROGRAM_READER 0x40000000U

/* The hook with which a program shall be started: the place in the attester's list of them, after these. */
#define ASSAY_HOOK_UNKNOWN 0U
#define ASSAY_HOOK_NONE 1U
#define ASSAY_HOOKS 2U

struct assay_answer {
  __u32 flags;
  __u32 program; /* of ASSAY_EXEC: the executed program; of ASSAY_OPEN: the opening one; 0: unknown */
  __u8 digest[ASSAY_DIGEST];
  __u32 hook; /* of ASSAY_EXEC: ASSAY_HOOK_*, or from ASSAY_HOOKS on */
};
ASSAY_ASSERT(sizeof(struct assay_answer) == 44);

/* Flags of an event. */
#define ASSAY_EVENT_PROGRAM 1U /* program is set */

struct assay_event {
  __u64 inode;
  __u64 address; /* of the memory concerned */
  __u64 size;
  __u64 ino;
  __u64 cgroup;
  __u32 dev; /* the kernel's dev_t: major << 20 | minor */
  __u32 kind;
  __u32 detail;
  __u32 flags;
  __u32 tid, tgid, uid;
  __u32 target;
  char comm[ASSAY_COMM];
  __u8 digest[ASSAY_DIGEST];
  char path[ASSAY_PATH];      /* or only the last name, where a hook can't get the path */
  __u8 program[ASSAY_DIGEST]; /* measured digest of the program that did it, if that is known */
};
ASSAY_ASSERT(sizeof(struct assay_event) == 72 + 16 + 32 + ASSAY_PATH + 32);

/* A file that was loaded while no attester answered. */
struct assay_missed_key {
  __u64 id; /* the inode's address and generation, since an address may be reused; without a file the kind */
  __u64 ino;
  __u32 dev;
  __u32 reserved;
};
ASSAY_ASSERT(sizeof(struct assay_missed_key) == 24);

struct assay_missed {
  __u64 count;
  __u64 cgroup; /* this and the next members: of the first task that loaded it */
  __u32 tgid, uid;
  __u32 kinds; /* of all loads: 1 << assay_kind */
  __u32 reserved;
  char comm[ASSAY_COMM];
  char path[ASSAY_PATH];
};
ASSAY_ASSERT(sizeof(struct assay_missed) == 48 + ASSAY_PATH);

/* A file of the attester. It may always be loaded, so that the attester can be started again. */
struct assay_own_file {
  __u64 ino;
  __u32 dev;
  __u32 reserved;
};
ASSAY_ASSERT(sizeof(struct assay_own_file) == 16);

/* What a successor takes over (carry.h) of the states that the hooks keep of inodes and tasks: how these
 * begin. */
struct assay_inode_head {
  __u64 write_seq; /* raised by everything that may change content or name */
  __u32 used;      /* it was measured, and no writer was reported since */
  __u32 program;   /* which kind of interpreter it is: ASSAY_PROGRAM_*; 0: unknown */
};
ASSAY_ASSERT(sizeof(struct assay_inode_head) == 16);

struct assay_task_head {
  __u32 role;             /* ASSAY_ROLE_*: on the thread group's leader */
  __u32 reported;         /* kinds of events that this program has caused: on the leader */
  __u32 reported_reasons; /* ... and reasons of ASSAY_LOCKDOWN */
  __u32 reserved;
  __u64 program; /* inode that was measured in the last exec; its digest follows */
  __u64 program_digest[ASSAY_DIGEST / 8];
};
ASSAY_ASSERT(sizeof(struct assay_task_head) == 24 + ASSAY_DIGEST);

/* The state of an inode that holds the data of an overlayfs inode, or that was mapped shared and writable. */
struct assay_real_state {
  __u64 write_seq;
  __u32 used;     /* through overlayfs */
  __u32 shared;   /* raised by each shared and writable mapping */
  __u32 unpinned; /* value of `shared` when its pages were found to be unused elsewhere */
  __u32 reserved;
};
ASSAY_ASSERT(sizeof(struct assay_real_state) == 24);

/* A file system on devices, and the attester's judgement of it. */
struct assay_storage {
  __u64 id; /* never reused for another file system */
  __u32 dev;
  __u32 magic;
};
ASSAY_ASSERT(sizeof(struct assay_storage) == 16);

struct assay_storage_answer {
  __u64 raw_seq; /* assay_control.raw_seq before the devices were examined */
  __u32 flags;   /* ASSAY_VOLATILE, ASSAY_SERVED */
  __u32 reserved;
};
ASSAY_ASSERT(sizeof(struct assay_storage_answer) == 16);

/* An object of the attester in the kernel, which the guard protects. */
enum assay_object_type { ASSAY_OBJECT_MAP = 1, ASSAY_OBJECT_PROG, ASSAY_OBJECT_LINK };
struct assay_object {
  __u32 type, id;
};
ASSAY_ASSERT(sizeof(struct assay_object) == 8);

/* Roles in task storage, on the thread group's leader. */
#define ASSAY_ROLE_EXEMPT 1U /* the attester, the software TPM */
#define ASSAY_ROLE_AGENT 2U  /* the attester: may identify files */
#define ASSAY_ROLE_GATE 4U   /* the gate: its executable file leads to the attester */

/* Files that any program opens; files that an interpreter or an unknown program opens; these, and files that
 * a reader of configuration opens. */
#define ASSAY_OPENS_ALL 1U
#define ASSAY_OPENS_INTERPRETERS 2U
#define ASSAY_OPENS_READERS 3U
/* The hooks that the attester can check: it makes a system call that must reach the hook. */
enum assay_pulse {
  ASSAY_PULSE_EXEC,
  ASSAY_PULSE_MMAP,
  ASSAY_PULSE_MPROTECT,
  ASSAY_PULSE_OPEN,
  ASSAY_PULSE_RELEASE,
  ASSAY_PULSE_SETATTR,
  ASSAY_PULSE_RENAME,
  ASSAY_PULSE_LINK,
  ASSAY_PULSE_INODE_FREE,
  ASSAY_PULSE_IOCTL,
  ASSAY_PULSE_PTRACE,
  ASSAY_PULSE_BPF,
  ASSAY_PULSE_LOAD_DATA,
  ASSAY_PULSES
};

/* The one entry of the map `control`, mapped by the attester. */
struct assay_control {
  __u32 version;     /* ASSAY_WIRE_VERSION */
  __u32 active;      /* 0: every hook returns at once */
  __u32 gate;        /* thread group of the gate; 0: no attester answers */
  __u32 refuse;      /* without an answer: 0 the load goes on and is noted, 1 it fails with EACCES */
  __u32 opens;       /* which files opened for reading to ask about: ASSAY_OPENS_* */
  __u32 raw_writers; /* block devices open for writing at present */
  __u32 attester;    /* its thread group */
  __u32 guarded;     /* 1: other processes may not access the attester's objects */
  __u32 guard_dev;   /* the kernel's dev_t of the file system with the pins */
  __u32 own_dev;     /* the kernel's dev_t of the file system that the attester serves; 0: none */
  __u32 bsg_major;   /* character devices that take raw commands; 0: none */
  __u32 nvme_major;
  __u64 raw_seq;              /* raised when a raw device is opened or closed, and when storage changes */
  __u64 epoch;                /* raised with each change of policy: earlier judgements are void */
  __u64 scope;                /* a cgroup's id: only its tasks are measured; 0: all */
  __u64 missed;               /* loads without an answer */
  __u64 missed_unnamed;       /* ... that found no place in the map */
  __u64 events_lost;          /* the ring buffer was full */
  __u64 clean_hits;           /* loads of clean files */
  __u64 requests;             /* questions asked */
  __u64 wait_ns;              /* time spent waiting for answers */
  __u64 unasked;              /* loads without a question, for lack of memory */
  __u8 object[ASSAY_DIGEST];  /* SHA-256 of the BPF object and the policy */
  __u64 storages;             /* file systems seen so far */
  __u32 probe;                /* the attester's thread that checks the hooks at present; 0: none */
  __u32 pulses[ASSAY_PULSES]; /* raised by each hook that this thread reaches */
};
ASSAY_ASSERT(sizeof(struct assay_control) == 48 + 80 + 32 + 8 + 4 * (1 + ASSAY_PULSES));

#endif /* ASSAY_MEASURE_LSM_WIRE_H */
