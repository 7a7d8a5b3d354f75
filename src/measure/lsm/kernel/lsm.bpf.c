/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * The lsm engine's kernel side. Each part is a header of its own:
 *   lsm_wire.h              what goes between here and the attester
 *   lsm_kernel.bpf.h        the kernel's types
 *   lsm_maps.bpf.h          maps, and the states of inodes and tasks
 *   lsm_storage.bpf.h       what file systems lie on
 *   lsm_state.bpf.h         clean or not
 *   lsm_sha256.bpf.h        digests of buffers in the kernel
 *   lsm_program.bpf.h       who did it
 *   lsm_upcall.bpf.h        asking and telling
 *   lsm_opens.bpf.h         who opens files, and what for
 *   lsm_load.bpf.h          hooks: exec, mmap, mprotect
 *   lsm_kernel_reads.bpf.h  hooks: modules, firmware, kexec, BPF programs
 *   lsm_lockdown.bpf.h      hooks: ways around the kernel
 *   lsm_writers.bpf.h       hooks: opens, truncation, renames, raw devices
 *   lsm_process.bpf.h       hooks: ptrace and its like
 *   lsm_guard.bpf.h         hooks: the attester's own objects, when asked for
 * Every program here that is asked for is attached, or none: docs/notes/2026-11-24-lsm-engine.md.
 */
#include "types.bpf.h"
/* Order: the helpers need the types. */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Each part uses what stands before it. */
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
#include "writers.bpf.h"
#include "process.bpf.h"
#include "guard.bpf.h"
/* clang-format on */
