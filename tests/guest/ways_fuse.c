/* A FUSE file system for ways that run a program from there, or read from it. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../hostile_fuse.h"
#include "ways.h"

static pid_t serve(struct hostile h) {
  int ready[2];
  char byte;
  mkdir(h.mount_point, 0755);
  must(pipe(ready) == 0, "pipe");
  fflush(NULL);
  pid_t server = fork();
  must(server >= 0, "fork");
  if (server == 0) {
    int device = hostile_mount(&h);
    must(device >= 0, "mount");
    close(ready[0]);
    close(ready[1]);
    _exit(hostile_serve(&h, device));
  }
  close(ready[1]);
  (void)read(ready[0], &byte, 1); /* its end is closed when it has mounted, or ended */
  close(ready[0]);
  return server;
}

pid_t serve_fuse(const char* mount_point, struct content file) {
  return serve((struct hostile){.mount_point = mount_point, .bytes = file.bytes, .size = file.size});
}

pid_t serve_fuse_late(const char* mount_point, struct content file) {
  return serve((struct hostile){.mount_point = mount_point,
                                .bytes = file.bytes,
                                .size = file.size,
                                .hang = hostile_kinds("read"),
                                .later = 1,
                                .direct_io = 1});
}

void end_fuse(pid_t server) {
  kill(server, SIGTERM);
  waitpid(server, NULL, 0);
}
