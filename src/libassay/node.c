/* Requests to the `measure` node (docs/formats/runassay.md). Only system calls: a signal handler may do it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "assay.h"
#include "internal.h"

#define NODE "/measure"

int assay_node_open(const char* mount_point, int access) {
  char path[PATH_MAX];
  struct statfs fs;
  int node;
  size_t n;
  if (mount_point == NULL) return -EINVAL;
  n = strlen(mount_point);
  if (n + sizeof(NODE) > sizeof(path)) return -ENAMETOOLONG;
  memcpy(path, mount_point, n);
  memcpy(path + n, NODE, sizeof(NODE));
  do {
    node = open(path, access | O_CLOEXEC);
  } while (node < 0 && errno == EINTR);
  if (node < 0) return -errno;
  /* An ordinary file of that name would take any request and measure nothing. */
  if (fstatfs(node, &fs) != 0 || fs.f_type != FUSE_SUPER_MAGIC) {
    close(node);
    return -ENODEV;
  }
  return node;
}

static int verdict_of(const char* text, size_t size) {
  static const struct {
    const char* line;
    int verdict;
  } kVerdicts[] = {{"unjudged\n", ASSAY_UNJUDGED},
                   {"known\n", ASSAY_KNOWN},
                   {"unknown\n", ASSAY_UNKNOWN},
                   {"refused\n", ASSAY_REFUSED}};
  for (size_t i = 0; i < sizeof(kVerdicts) / sizeof(kVerdicts[0]); ++i)
    if (size == strlen(kVerdicts[i].line) && memcmp(text, kVerdicts[i].line, size) == 0)
      return kVerdicts[i].verdict;
  return -EPROTO;
}

int assay_node_ask(int node, const char* request) {
  char line[ASSAY_REQUEST_MAX + 1];
  const size_t length = strlen(request);
  ssize_t n;
  if (length + 1 > sizeof(line)) return -ENAMETOOLONG;
  memcpy(line, request, length);
  line[length] = '\n';
  do {
    n = write(node, line, length + 1);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  if ((size_t)n != length + 1) return -EIO;
  if ((fcntl(node, F_GETFL) & O_ACCMODE) == O_WRONLY) return ASSAY_UNJUDGED;
  do {
    n = read(node, line, sizeof(line));
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : verdict_of(line, (size_t)n);
}

int assay_node_judge(int node, const char* request) {
  const int verdict = assay_node_ask(node, request);
  return verdict == -EACCES ? -EPERM : verdict;
}

int assay_ask(const char* mount_point, const char* request) {
  int node = assay_node_open(mount_point, O_RDWR), verdict;
  if (node == -EACCES) node = assay_node_open(mount_point, O_WRONLY); /* an attester before verdicts */
  if (node < 0) return node;
  verdict = assay_node_judge(node, request);
  close(node);
  return verdict;
}

int assay_request(char out[ASSAY_REQUEST_MAX], const char* prefix, int fd, const char* what) {
  char digits[12];
  size_t at = strlen(prefix), n = 0;
  if (what != NULL) {
    const size_t length = strlen(what);
    if (length == 0 || length > 32 || strspn(what, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
      return -EINVAL;
  }
  memcpy(out, prefix, at);
  for (; fd > 0 || (fd == 0 && n == 0); fd /= 10) digits[n++] = (char)('0' + fd % 10);
  if (n > 0) out[at++] = ':';
  while (n > 0) out[at++] = digits[--n];
  if (what != NULL) {
    out[at++] = ':';
    memcpy(out + at, what, strlen(what));
    at += strlen(what);
  }
  out[at] = '\0';
  return 0;
}
