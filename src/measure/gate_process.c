/* The gate: a process whose executable file lies on the attester's FUSE mount, so that the BPF hooks find the
 * mount through it, and the attester's watchdog. Descriptors: 3 the beat, 4 the connection's abort file, 5
 * says 'ready'.
 *
 * No beat for argv[1] milliseconds: the attester is stopped or stuck; the connection is aborted, and whoever
 * waits goes on as the policy says. End of file: the attester is gone, and the connection with it. It never
 * touches a file after its start, since its own pages come from the attester: all of them are locked in
 * memory first. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kBeat = 3, kAbort = 4, kReady = 5 };

int main(int argc, char** argv) {
  int limit = argc > 1 ? atoi(argv[1]) : 5000;
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  if (mlockall(MCL_CURRENT) != 0) return 2;
  if (write(kReady, "r", 1) != 1) return 3;
  close(kReady);
  for (;;) {
    struct pollfd beat = {kBeat, POLLIN, 0};
    int n = poll(&beat, 1, limit);
    if (n < 0) continue;
    if (n == 0) return write(kAbort, "1", 1) == 1 ? 0 : 4;
    char buffer[64];
    if (read(kBeat, buffer, sizeof(buffer)) <= 0) return 0;
  }
}
