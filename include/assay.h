/* libassay: have what you load measured before you use it.
 *
 * An interpreter, a plugin loader or a service that reads files which decide its behaviour (scripts, modules,
 * configuration) asks the machine's attester to record the content before it uses it. What was recorded is in
 * the TPM's PCR before the next quote (docs/formats/list.md).
 *
 *     int fd = assay_open_measured("/etc/app.conf", 0);
 *     if (fd < 0) {
 *       fprintf(stderr, "/etc/app.conf can't be used: %s\n", strerror(-fd));
 *       return 1;
 *     }
 *     // read from fd, and from nothing else: that is the content that was measured
 *     int error = assay_measure_buffer("app-c", "print 1", 7);  // what has no file
 *     if (error != 0 && error != -ENOENT) return 1;             // -ENOENT: no attester runs here
 *
 * src/libassay/example.c is the whole program; assay.hpp is the same for C++.
 *
 * Contract: thread-safe and fork-safe: there is no lock, so a child may go on at once, whatever other threads
 * did at its fork. Never exits, prints or raises a signal. All functions but assay_set_mount_point() are
 * async-signal-safe (they make system calls and keep errno), and a call may wait for the attester, as a rule
 * not longer than 30 seconds. Each returns a number of 0 or above, or a negative errno:
 *
 *     -ENOENT      no attester runs here (or, of the functions that take a path: no such file)
 *     -ENODEV      the mount point has no file system of an attester, or the attester is stopping
 *     -ENOTCONN    the attester has died (or -ECONNABORTED)
 *     -EBADF       the descriptor is not open for reading
 *     -EINVAL      the file is not a regular file
 *     -EIO         the attester can't record at present (its status tells why)
 *     -ETIMEDOUT   the file could not be read in time
 *     -EBUSY       too many requests are waiting
 *     -EDQUOT      this user has used up its quota of records
 *     -ETXTBSY     the file is open for writing (only for users other than root)
 *     -EFBIG       a buffer, or a copy, has more than 16 MiB
 *     -EACCES      the owner of the machine refuses this content (assay_open_measured, assay_read_measured)
 *     -EPERM       the attester does not see this process, which is in another PID namespace
 *
 * or an error of another system call. A caller that must not use unmeasured content treats all errors alike.
 * A program with the right to write to a file can still change it after it was measured;
 * assay_open_measured() therefore returns a sealed copy of such a file.
 */
#ifndef ASSAY_H
#define ASSAY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASSAY_MOUNT_POINT "/run/assay"

/* fd must be open for reading; its offset does not change. */
int assay_measure_fd(int fd);

/* Opens the file with the caller's rights. A later open of the same name may give another file, so prefer
 * assay_open_measured(). */
int assay_measure_path(const char* path);

/* The same for an attester whose file system is mounted at another place. */
int assay_measure_fd_at(const char* mount_point, int fd);
int assay_measure_path_at(const char* mount_point, const char* path);

/* ---- Since version 1 of the interface (LIBASSAY_1) */

/* Content that has no file: a text after -c, what came through a pipe. what: 1 to 32 of a-z, 0-9 and '-',
 * which say what it is ("bash-c"; docs/formats/runassay.md names the usual ones). At most 16 MiB. */
int assay_measure_buffer(const char* what, const void* data, size_t size);

/* What the attester says of content. */
#define ASSAY_ABSENT 0   /* no attester runs here, and none is required: nothing was measured */
#define ASSAY_UNJUDGED 1 /* it was measured; the attester has no manifest to judge by */
#define ASSAY_KNOWN 2    /* it was measured, and is in the attester's manifest */
#define ASSAY_UNKNOWN 3  /* it was measured, and is not there */
#define ASSAY_REFUSED 4  /* the same, and by the owner's policy it must not be used */

/* A flag: that no attester runs is an error. The environment variable ASSAY_REQUIRED=1, as it is when the
 * library is loaded, sets it for all calls. Without it, that there was none is remembered for a second. */
#define ASSAY_REQUIRE 1u

/* As assay_measure_fd(), and returns what the attester says. A file that did not change since it was measured
 * is not asked for again by this process: then the call is one fstat(2) and a look into a table. A file
 * that changed less than two seconds before it was measured is asked for each time, and so is one on a file
 * system whose times prove nothing (FUSE, network; tmpfs and overlay if others than root may write to it). A
 * new attester is noticed within a second. For a process
 * with SECBIT_EXEC_RESTRICT_FILE (Linux 6.14), the kernel must allow the file to be executed, too
 * (AT_EXECVE_CHECK); else -EACCES. */
int assay_verdict_fd(int fd, unsigned flags);
int assay_verdict_buffer(const char* what, const void* data, size_t size, unsigned flags);

/* Returns a descriptor (close-on-exec, at offset 0) with the content that was measured: the file's own if
 * only root may write to it and it is on a disk or in memory of this machine, else (FUSE, network) a sealed
 * copy in memory. -EACCES if the content is refused. If no attester
 * runs and none is required, it is the file's own. */
int assay_open_measured(const char* path, unsigned flags);

/* Reads fd from its offset to its end, a pipe for example, and returns a sealed copy that was measured as a
 * buffer. If no attester runs, it returns -ENOENT (or -ENODEV, ...) and has read nothing, whatever the flags.
 * Once fd was read the content is in the copy only: without ASSAY_REQUIRE the copy is returned even if it
 * could not be measured, unless it is refused. */
int assay_read_measured(int fd, const char* what, unsigned flags);

/* For all functions that don't name a mount point. To be called before any of them, and before there are
 * threads. The text is kept, not copied. */
void assay_set_mount_point(const char* mount_point);

/* ---- Since version 2 of the interface (LIBASSAY_2) */

/* Says that the hook of this process's interpreter has what it loads measured from here on; with the lsm
 * engine a start that no hook announces can be recorded (engine/instrumented). hook: a name, as that of a
 * buffer. An attester of a former version says -EINVAL. */
int assay_announce(const char* hook);

#ifdef __cplusplus
}
#endif

#endif
