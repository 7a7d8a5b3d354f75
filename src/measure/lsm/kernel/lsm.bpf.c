/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The lsm engine's kernel side. Each part is a header of its own:
 *   wire.h              data that is exchanged with the attester
 *   types.bpf.h         the kernel's types
 *   maps.bpf.h          maps, and the states of inodes and tasks
 *   storage.bpf.h       the storage under file systems
 *   state.bpf.h         whether an inode is clean
 *   sha256.bpf.h        digests of kernel buffers
 *   program.bpf.h       digests of the programs that cause events
 *   upcall.bpf.h        requests to the attester, and events
 *   opens.bpf.h         files opened for reading, and the programs that open them
 *   load.bpf.h          hooks: exec, mmap, mprotect
 *   kernel_reads.bpf.h  hooks: modules, firmware, kexec, BPF programs
 *   lockdown.bpf.h      hooks: ways around the kernel's protection
 *   guard.bpf.h         hooks: the attester's own objects, if the configuration asks for it
 *   writers.bpf.h       hooks: opens, truncation, renames, raw devices
 *   process.bpf.h       hooks: ptrace and similar access
 * A hook has at most one of these programs. The kernel keeps a detached program until no task runs it, and
 * not until no task will: one that sleeps in the hook's other program calls it when it wakes up, and if it is
 * gone the machine stops (retained.h). No program reads the result of earlier ones. The kernel calls no
 * further program after a refusal, so it would be 0; and it comes after the hook's arguments, so a kernel
 * that gives a hook one more moves it (Linux 6.16 did, for bpf). All of the wanted programs are attached, or
 * none: docs/notes/2026-11-24-lsm-engine.md.
 */
#include "types.bpf.h"
/* The types come first, because the helpers need them. */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Each part uses those before it. */
/* clang-format off */
#include "maps.bpf.h"
#include "storage.bpf.h"
#include "state.bpf.h"
#include "sha256.bpf.h"
#include "program.bpf.h"
#include "upcall.bpf.h"
#include "opens.bpf.h"
#include "load.bpf.h"
#include "kernel_reads.bpf.h"
#include "lockdown.bpf.h"
#include "guard.bpf.h"
#include "writers.bpf.h"
#include "process.bpf.h"
/* clang-format on */
