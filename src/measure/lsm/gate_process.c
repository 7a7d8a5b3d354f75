/* The gate: a process whose executable file lies on the attester's FUSE mount, so that the BPF hooks find the
 * mount through it. It is also the attester's watchdog. Its descriptors: 3 is the beat, 4 the connection's
 * abort file, and at 5 it reports that it is ready.
 *
 * If no beat comes for argv[1] milliseconds, the attester is stopped or stuck: the gate aborts the
 * connection, and the tasks that wait go on as the policy says. At the end of file the attester is gone, and
 * the connection with it. The gate never touches a file after its start. Its own pages come from the
 * attester, so all of them are locked in memory first. */
#define _GNU_SOURCE
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kBeat = 3, kAbort = 4, kReady = 5, kPage = 4096 };

/* The pages are touched here and not by mlockall(). If the attester dies meanwhile and they can't be read any
 * more, mlockall() would try again for ever (Linux 6.12 mm/gup.c, __mm_populate() repeats a read that
 * failed); a touch ends in SIGBUS. */
static int touch(struct dl_phdr_info* program, size_t size, void* unused) {
  (void)size;
  (void)unused;
  for (int i = 0; i < program->dlpi_phnum; ++i) {
    const ElfW(Phdr)* part = &program->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_R)) continue;
    const volatile char* at = (const volatile char*)(program->dlpi_addr + part->p_vaddr);
    for (size_t n = 0; n < part->p_memsz; n += kPage) (void)at[n];
    if (part->p_memsz > 0) (void)at[part->p_memsz - 1];
  }
  return 0;
}

int main(int argc, char** argv) {
  int limit = argc > 1 ? atoi(argv[1]) : 5000;
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0) return 2;
  dl_iterate_phdr(touch, NULL);
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
