/* Measures its configuration, then reads it; and the text of an option, before it acts on it. */
#include <assay.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  char content[4096];
  ssize_t n;
  int error;
  const int fd = assay_open_measured(argc > 1 ? argv[1] : "/etc/hostname", 0);
  if (fd < 0) {
    fprintf(stderr, "it can't be used: %s\n", strerror(-fd));
    return 1;
  }
  n = read(fd, content, sizeof(content));
  close(fd);
  error = assay_measure_buffer("example-c", "print", strlen("print"));
  if (error != 0 && error != -ENOENT) return 1; /* -ENOENT: no attester runs here */
  printf("%zd bytes, measured before they were read\n", n);
  return 0;
}
