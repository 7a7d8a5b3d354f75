/* libassay: have a file measured before you use it.
 *
 * An interpreter, a plugin loader or a service that reads files which decide its behaviour (scripts, modules,
 * configuration) asks the machine's attester to record the content before it uses it. When the call returns
 * 0, the content is recorded, and will be in the TPM's PCR before the next quote (docs/formats/list.md).
 *
 *     int fd = open("/etc/app.conf", O_RDONLY | O_CLOEXEC);
 *     int error = assay_measure_fd(fd);
 *     if (error != 0) {
 *       fprintf(stderr, "/etc/app.conf can't be measured: %s\n", strerror(-error));
 *       return 1;
 *     }
 *     // read from fd: it is exactly the file that was measured
 *
 * src/libassay/example.c is the whole program.
 *
 * Contract: thread-safe; keeps no state, reads no environment variable; never exits, prints or raises a
 * signal. Returns 0, or a negative errno:
 *
 *     -ENOENT      no attester runs here (or, of assay_measure_path: no such file)
 *     -ENODEV      the mount point has no file system of an attester, or the attester is stopping
 *     -ENOTCONN    the attester has died
 *     -EBADF       the descriptor is not open for reading
 *     -EINVAL      the file is not a regular file
 *     -EIO         the attester can't record at present (its status tells why)
 *     -ETIMEDOUT   the file could not be read in time
 *     -EBUSY       too many requests are waiting
 *     -EDQUOT      this user has used up its quota of records
 *     -ETXTBSY     the file is open for writing (only for users other than root)
 *
 * or an error of open(2) and write(2). A caller that must not use unmeasured content treats all errors alike.
 * A program with the right to write to the file can still change it afterwards. A file that root has measured
 * while it is open for writing is recorded as a violation.
 */
#ifndef ASSAY_H
#define ASSAY_H

#ifdef __cplusplus
extern "C" {
#endif

#define ASSAY_MOUNT_POINT "/run/assay"

/* fd must be open for reading; its offset does not change. */
int assay_measure_fd(int fd);

/* Opens the file with the caller's rights. A later open of the same name may give another file, so prefer
 * assay_measure_fd(). */
int assay_measure_path(const char* path);

/* The same for an attester whose file system is mounted at another place. */
int assay_measure_fd_at(const char* mount_point, int fd);
int assay_measure_path_at(const char* mount_point, const char* path);

#ifdef __cplusplus
}
#endif

#endif
