/* Without arguments: what the calls say where no attester runs. With "MOUNT_POINT FILE": measures the file
 * there, by descriptor and by name; the tests of /run/assay run it so. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assay.h"

static int failures;

static void expect(const char* what, int got, int want) {
  if (got == want) return;
  printf("%s: %d (%s), not %d\n", what, got, strerror(-got), want);
  ++failures;
}

static void without_attester(void) {
  char dir[] = "/tmp/assay-lib.XXXXXX", path[128];
  int fd;
  if (mkdtemp(dir) == NULL) abort();
  fd = open("/proc/self/exe", O_RDONLY);
  expect("no attester", assay_measure_fd_at(dir, fd), -ENOENT);
  expect("a negative descriptor", assay_measure_fd_at(dir, -1), -EBADF);
  expect("no mount point", assay_measure_fd_at(NULL, fd), -EINVAL);
  expect("no path", assay_measure_path_at(dir, NULL), -EINVAL);
  expect("no such file", assay_measure_path_at(dir, "/no/such/file"), -ENOENT);
  expect("a folder", assay_measure_path_at(dir, dir), -EINVAL);
  snprintf(path, sizeof(path), "%s/measure", dir);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  expect("an ordinary file called measure", assay_measure_fd_at(dir, fd), -ENODEV);
  unlink(path);
  if (mkfifo(path, 0600) != 0) abort();
  expect("a FIFO instead of a file", assay_measure_path_at(dir, path), -EINVAL);
  unlink(path);
  rmdir(dir);
  close(fd);
}

static void with_attester(const char* mount_point, const char* file) {
  char text[8];
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  expect("by descriptor", assay_measure_fd_at(mount_point, fd), 0);
  expect("its offset", (int)lseek(fd, 0, SEEK_CUR), 0);
  expect("reading what was measured", read(fd, text, sizeof(text)) > 0 ? 0 : -errno, 0);
  expect("by name", assay_measure_path_at(mount_point, file), 0);
  expect("a closed descriptor", assay_measure_fd_at(mount_point, 987), -EBADF);
  close(fd);
}

int main(int argc, char** argv) {
  if (argc == 3)
    with_attester(argv[1], argv[2]);
  else
    without_attester();
  return failures != 0;
}
