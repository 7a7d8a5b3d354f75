/* Copies that nobody can change: a memfd with all its seals is measured, and is what the caller reads. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assay.h"
#include "internal.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int new_memory(void) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int memory = memfd_create("assay", flags | MFD_NOEXEC_SEAL);
  if (memory < 0 && errno == EINVAL) memory = memfd_create("assay", flags);
  return memory < 0 ? -errno : memory;
}

static int write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    data += n;
    size -= (size_t)n;
  }
  return 0;
}

/* Closes `memory` if there was an error. */
static int seal(int memory, int error) {
  if (error == 0 && (fcntl(memory, F_ADD_SEALS, SEALS) != 0 || lseek(memory, 0, SEEK_SET) != 0))
    error = -errno;
  if (error == 0) return memory;
  close(memory);
  return error;
}

int assay_sealed_of(const void* data, size_t size) {
  const int memory = new_memory();
  if (memory < 0) return memory;
  return seal(memory, write_all(memory, data, size));
}

static int copy_all(int from, int to) {
  char block[16384];
  size_t size = 0;
  while (1) {
    const ssize_t n = read(from, block, sizeof(block));
    int error;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) return 0;
    size += (size_t)n;
    if (size > ASSAY_MAX_BUFFER) return -EFBIG;
    error = write_all(to, block, (size_t)n);
    if (error != 0) return error;
  }
}

static int sealed_copy(int from) {
  const int memory = new_memory();
  if (memory < 0) return memory;
  return seal(memory, copy_all(from, memory));
}

/* Reads `fd` to its end and asks for the copy, which it returns. Where nobody requires that it was measured,
 * it is returned in any case, because the content is in the copy only. */
static int measured_copy(int node, int fd, const char* what, unsigned flags) {
  char request[ASSAY_REQUEST_MAX];
  const int memory = sealed_copy(fd);
  int verdict;
  if (memory < 0) return memory;
  assay_request(request, "buffer", memory, what);
  verdict = assay_node_judge(node, request);
  if (verdict >= 0 ? verdict != ASSAY_REFUSED : !assay_required(flags)) return memory;
  close(memory);
  return verdict < 0 ? verdict : -EACCES;
}

/* *copied: whether `fd` was read. */
static int read_measured(int fd, const char* what, unsigned flags, int* copied) {
  char request[ASSAY_REQUEST_MAX];
  int node, memory;
  *copied = 0;
  if (fd < 0) return -EBADF;
  if (what == NULL || assay_request(request, "buffer", 0, what) != 0) return -EINVAL;
  node = assay_node_open(assay_point(), O_RDWR);
  if (node < 0) return node;
  *copied = 1;
  memory = measured_copy(node, fd, what, flags);
  close(node);
  return memory;
}

int assay_read_measured(int fd, const char* what, unsigned flags) {
  int copied;
  const int saved = errno;
  const int memory = read_measured(fd, what, flags, &copied);
  errno = saved;
  return memory;
}

/* Whether a process that is not root's may write to it. An ACL's mask shows as the group's bits. */
int assay_may_change(const struct stat* st) {
  return !S_ISREG(st->st_mode) || st->st_uid != 0 || (st->st_mode & 022) != 0;
}

/* The copy is what counts. The file is asked for besides, so that the list has its path; a writer, or a file
 * that is none, only means that it has not. */
static int open_changing(int fd, const struct stat* st, unsigned flags) {
  int memory, copied = 0, verdict = ASSAY_UNJUDGED;
  if (S_ISREG(st->st_mode)) verdict = assay_verdict_fd(fd, flags);
  if (verdict == ASSAY_ABSENT) return fd;
  if (verdict == ASSAY_REFUSED) verdict = -EACCES;
  memory = verdict < 0 && verdict != -ETXTBSY ? verdict : read_measured(fd, "file-copy", flags, &copied);
  if (!copied && assay_is_absence(memory) && !assay_required(flags)) return fd;
  close(fd);
  return memory;
}

static int open_measured(const char* path, unsigned flags) {
  struct stat st;
  int fd, verdict;
  if (path == NULL) return -EINVAL;
  do {
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;
  if (fstat(fd, &st) != 0) {
    verdict = -errno;
  } else if (S_ISDIR(st.st_mode)) {
    verdict = -EISDIR;
  } else if (assay_may_change(&st) ||
             !assay_times_prove(fd, &st)) { /* a server may show anything as root's */
    return open_changing(fd, &st, flags);
  } else {
    verdict = assay_verdict_fd(fd, flags);
    if (verdict == ASSAY_REFUSED) verdict = -EACCES;
  }
  if (verdict >= 0) return fd;
  close(fd);
  return verdict;
}

int assay_open_measured(const char* path, unsigned flags) {
  const int saved = errno;
  const int fd = open_measured(path, flags);
  errno = saved;
  return fd;
}
