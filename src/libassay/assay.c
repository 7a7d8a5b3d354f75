#define _GNU_SOURCE
#include "assay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int open_node(const char* mount_point) {
  char path[PATH_MAX];
  struct statfs fs;
  int node;
  const int n = snprintf(path, sizeof(path), "%s/measure", mount_point);
  if (n < 0 || (size_t)n >= sizeof(path)) return -ENAMETOOLONG;
  do {
    node = open(path, O_WRONLY | O_CLOEXEC);
  } while (node < 0 && errno == EINTR);
  if (node < 0) return -errno;
  /* An ordinary file of that name would take any request and measure nothing. */
  if (fstatfs(node, &fs) != 0 || fs.f_type != FUSE_SUPER_MAGIC) {
    close(node);
    return -ENODEV;
  }
  return node;
}

int assay_measure_fd_at(const char* mount_point, int fd) {
  char request[32];
  int node, length, error = 0;
  ssize_t written;
  if (mount_point == NULL) return -EINVAL;
  if (fd < 0) return -EBADF;
  length = snprintf(request, sizeof(request), "fd:%d\n", fd);
  node = open_node(mount_point);
  if (node < 0) return node;
  do {
    written = write(node, request, (size_t)length);
  } while (written < 0 && errno == EINTR);
  if (written < 0)
    error = -errno;
  else if (written != length)
    error = -EIO;
  close(node);
  return error;
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

int assay_measure_fd(int fd) { return assay_measure_fd_at(ASSAY_MOUNT_POINT, fd); }
int assay_measure_path(const char* path) { return assay_measure_path_at(ASSAY_MOUNT_POINT, path); }
