// A memfd that nobody can change any more. The attester takes only such descriptors for what has no file
// (docs/formats/runassay.md, measure). It is for the native parts of hooks whose language can't make one.
//
//   // given: const char* text, size_t size
//   const int fd = sealed_memfd(text, size);
//   if (fd < 0) fprintf(stderr, "there is nothing to ask with: %s\n", strerror(-fd));
//
// Contract: the descriptor, or a negative errno. The descriptor is closed on exec.
#ifndef ASSAY_HOOKS_SEALED_H
#define ASSAY_HOOKS_SEALED_H

#ifndef _GNU_SOURCE
#error "memfd_create needs _GNU_SOURCE"
#endif
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline int sealed_memfd(const void* data, size_t size) {
  const char* at = (const char*)data;
  int error;
  const int fd = memfd_create("assay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  while (size > 0) {
    const ssize_t n = write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    at += n;
    size -= (size_t)n;
  }
  if (size == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return fd;
  error = errno;
  close(fd);
  return -error;
}

#endif
