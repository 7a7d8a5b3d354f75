/* What the attester says of a file or a buffer, asked for once while the file does not change. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "assay.h"
#include "internal.h"

/* Linux 6.14; Debian 12's headers are older. */
#define EXECVE_CHECK 0x10000        /* AT_EXECVE_CHECK */
#define EXEC_RESTRICT_FILE (1 << 8) /* SECBIT_EXEC_RESTRICT_FILE */

static int required_by_environment;

/* Once, because getenv() is not for threads and signal handlers. A program with more rights than its caller
 * does not take the caller's word, which could only make it stricter, either. */
__attribute__((constructor)) static void read_environment(void) {
  const char* const text = secure_getenv("ASSAY_REQUIRED");
  required_by_environment = text != NULL && text[0] != '\0' && !(text[0] == '0' && text[1] == '\0');
}

int assay_required(unsigned flags) { return (flags & ASSAY_REQUIRE) != 0 || required_by_environment; }

int assay_is_absence(int error) {
  return error == -ENOENT || error == -ENODEV || error == -ENOTCONN || error == -ECONNABORTED;
}

/* A process with SECBIT_EXEC_RESTRICT_FILE interprets only what the kernel would execute. A kernel that has
 * this bit has the question, too. Under the lsm engine the question measures the file; but it does not say
 * whether an attester recorded anything, so the node is asked besides. */
static int kernel_allows(int fd) {
  static char empty[] = "";
  char* const none[] = {empty, NULL};
  const int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  if (bits < 0 || (bits & EXEC_RESTRICT_FILE) == 0) return 0;
  return syscall(SYS_execveat, fd, "", none, none + 1, AT_EMPTY_PATH | EXECVE_CHECK) == 0 ? 0 : -errno;
}

static int verdict_fd(int fd, unsigned flags) {
  char request[ASSAY_REQUEST_MAX];
  struct assay_state state;
  struct stat st;
  uint64_t now;
  int verdict, error;
  if (fd < 0) return -EBADF;
  error = kernel_allows(fd);
  if (error != 0) return error;
  if (!assay_required(flags) && assay_absent_now()) return ASSAY_ABSENT;
  if (fstat(fd, &st) != 0) return -errno;
  if (!S_ISREG(st.st_mode)) return -EINVAL;
  assay_state_of(&st, &state);
  verdict = assay_cache_find(&state);
  if (verdict >= 0) return verdict;
  now = assay_now_ns();
  assay_request(request, "fd", fd, NULL);
  verdict = assay_ask(assay_point(), request);
  if (verdict >= 0) {
    assay_cache_keep(fd, &state, now, verdict);
    return verdict;
  }
  if (!assay_is_absence(verdict) || assay_required(flags)) return verdict;
  assay_note_absent();
  return ASSAY_ABSENT;
}

int assay_verdict_fd(int fd, unsigned flags) {
  const int saved = errno;
  const int verdict = verdict_fd(fd, flags);
  errno = saved;
  return verdict;
}

static int verdict_buffer(const char* what, const void* data, size_t size, unsigned flags) {
  char request[ASSAY_REQUEST_MAX];
  int node, memory, verdict;
  if (what == NULL || (data == NULL && size > 0) || assay_request(request, "buffer", 0, what) != 0)
    return -EINVAL;
  if (size > ASSAY_MAX_BUFFER) return -EFBIG;
  if (!assay_required(flags) && assay_absent_now()) return ASSAY_ABSENT;
  node = assay_node_open(assay_point(), O_RDWR);
  if (node < 0) {
    if (!assay_is_absence(node) || assay_required(flags)) return node;
    assay_note_absent();
    return ASSAY_ABSENT;
  }
  memory = assay_sealed_of(data, size);
  verdict = memory;
  if (memory >= 0) {
    assay_request(request, "buffer", memory, what);
    verdict = assay_node_judge(node, request);
    close(memory);
  }
  close(node);
  return assay_is_absence(verdict) && !assay_required(flags) ? ASSAY_ABSENT : verdict;
}

int assay_verdict_buffer(const char* what, const void* data, size_t size, unsigned flags) {
  const int saved = errno;
  const int verdict = verdict_buffer(what, data, size, flags);
  errno = saved;
  return verdict;
}
