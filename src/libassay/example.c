/* Measures its configuration, then reads it. */
#include <assay.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  char content[4096];
  ssize_t n;
  const int fd = open(argc > 1 ? argv[1] : "/etc/hostname", O_RDONLY | O_CLOEXEC);
  const int error = assay_measure_fd(fd);
  if (error != 0) {
    fprintf(stderr, "it can't be measured: %s\n", strerror(-error));
    return 1;
  }
  n = read(fd, content, sizeof(content));
  printf("%zd bytes, measured before they were read\n", n);
  close(fd);
  return 0;
}
