/* libassay: have a file measured before you use it.
 *
 * An interpreter, a plugin loader or a service that reads what decides its behaviour (scripts, modules,
 * configuration) asks the machine's attester to record the content before it is used. When the call returns
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
 *     -ENODEV      what lies at the mount point is not the attester's file system, or it is stopping
 *     -ENOTCONN    the attester has died
 *     -EBADF       not a descriptor that is open for reading
 *     -EINVAL      not a regular file
 *     -EIO         the attester can't record at present (its status says why)
 *     -ETIMEDOUT   the file could not be read in time
 *     -EBUSY       too many requests are waiting
 *     -EDQUOT      this user has caused as many records as it may
 *     -ETXTBSY     the file has a writer (for users other than root)
 *
 * and whatever open(2) and write(2) may say. A caller that must not use what isn't measured treats all of
 * them alike. The content may still be changed by who may write to the file: what root has measured while it
 * is open for writing is recorded as a violation.
 */
#ifndef ASSAY_H
#define ASSAY_H

#ifdef __cplusplus
extern "C" {
#endif

#define ASSAY_MOUNT_POINT "/run/assay"

/* The file that fd is open for reading on; its offset stays as it is. */
int assay_measure_fd(int fd);

/* Opens the file with the caller's rights. What is opened afterwards by the same name may be another file:
 * prefer assay_measure_fd(). */
int assay_measure_path(const char* path);

/* The same with an attester whose file system is mounted elsewhere. */
int assay_measure_fd_at(const char* mount_point, int fd);
int assay_measure_path_at(const char* mount_point, const char* path);

#ifdef __cplusplus
}
#endif

#endif
