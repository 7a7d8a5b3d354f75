/* Measuring without a memory: each call asks. */
#define _GNU_SOURCE
#include "assay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static const char* point = ASSAY_MOUNT_POINT;

const char* assay_point(void) { return point; }
void assay_set_mount_point(const char* mount_point) { point = mount_point; }

int assay_measure_fd_at(const char* mount_point, int fd) {
  char request[ASSAY_REQUEST_MAX];
  int node, verdict;
  if (mount_point == NULL) return -EINVAL;
  if (fd < 0) return -EBADF;
  assay_request(request, "fd", fd, NULL);
  node = assay_node_open(mount_point, O_WRONLY);
  if (node < 0) return node;
  verdict = assay_node_ask(node, request);
  close(node);
  return verdict < 0 ? verdict : 0;
}

int assay_measure_path_at(const char* mount_point, const char* path) {
  struct stat st;
  int fd, error;
  if (path == NULL) return -EINVAL;
  do {
    /* Not to wait for the other end of a FIFO. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;
  if (fstat(fd, &st) != 0)
    error = -errno;
  else if (!S_ISREG(st.st_mode))
    error = -EINVAL;
  else
    error = assay_measure_fd_at(mount_point, fd);
  close(fd);
  return error;
}

int assay_measure_fd(int fd) { return assay_measure_fd_at(point, fd); }
int assay_measure_path(const char* path) { return assay_measure_path_at(point, path); }

static int announce(const char* hook) {
  char request[ASSAY_REQUEST_MAX];
  int node, verdict;
  if (hook == NULL || assay_request(request, "hook", -1, hook) != 0) return -EINVAL;
  if (!assay_required(0) && assay_absent_now()) return -ENOENT;
  node = assay_node_open(point, O_WRONLY);
  if (node < 0) {
    if (assay_is_absence(node)) assay_note_absent();
    return node;
  }
  verdict = assay_node_judge(node, request);
  close(node);
  return verdict < 0 ? verdict : 0;
}

int assay_announce(const char* hook) {
  const int saved = errno;
  const int error = announce(hook);
  errno = saved;
  return error;
}

int assay_measure_buffer(const char* what, const void* data, size_t size) {
  const int verdict = assay_verdict_buffer(what, data, size, ASSAY_REQUIRE);
  return verdict < 0 ? verdict : 0;
}
