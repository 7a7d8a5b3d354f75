/* A FUSE file system whose server does not answer: what it withholds, when, and for how long is the test's
 * choice.
 *
 *   struct hostile h = {.mount_point = "/mnt", .bytes = code, .size = size, .hang = hostile_kinds("read")};
 *   int device = hostile_mount(&h);           // in a process of its own
 *   if (device >= 0) hostile_serve(&h, device);   // until it is unmounted, or SIGTERM
 *
 * Contract: every name in the root is a regular file, 0755, with the same content. A request that is withheld
 * was taken by the server: the kernel then lets its task wait without an end, even a killed one, until the
 * server answers or ends. SIGUSR1 to the server: it answers all that it holds, and all from then on. SIGUSR2:
 * it withholds from then on. Attributes and names are never cached. No library is used: /dev/fuse, as in
 * linux/fuse.h. */
#pragma once

#include <stddef.h>

struct hostile {
  const char* mount_point;
  const unsigned char* bytes;
  size_t size;
  unsigned long long hang; /* hostile_kinds() of the requests that are withheld */
  unsigned first;          /* of each file, so many of these are answered nevertheless */
  unsigned after;          /* seconds until a request is answered after all; 0: never */
  int later;               /* withholds only from SIGUSR2 on */
  int direct_io;           /* past the page cache: each read of a task's is a request */
};

/* "open,read" (lookup, getattr, open, read, flush, release, or all): a set; 0 when a name is unknown. */
unsigned long long hostile_kinds(const char* names);
int hostile_mount(const struct hostile* h); /* -1 and errno */
int hostile_serve(const struct hostile* h, int device);
