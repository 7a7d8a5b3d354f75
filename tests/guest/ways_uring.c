/* One io_uring request at a time, by the system calls alone. */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ways.h"

int uring_setup(struct uring* r) {
  struct io_uring_params p;
  memset(&p, 0, sizeof(p));
  r->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
  if (r->fd < 0) return 0;
  r->array = p.sq_off.array;
  r->tail = p.sq_off.tail;
  r->cqes = p.cq_off.cqes;
  const int access = PROT_READ | PROT_WRITE;
  size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  r->sq = mmap(NULL, sq_size, access, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
  r->cq = mmap(NULL, cq_size, access, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
  r->entry = mmap(NULL, p.sq_entries * sizeof(*r->entry), access, MAP_SHARED, r->fd, IORING_OFF_SQES);
  must(r->sq != MAP_FAILED && r->cq != MAP_FAILED && (void*)r->entry != MAP_FAILED, "mmap");
  return 1;
}

int uring_buffer(struct uring* r, void* address, size_t size) {
  struct iovec buffer = {address, size};
  return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, &buffer, 1) == 0;
}

int uring_do(struct uring* r, const struct io_uring_sqe* e) {
  r->entry[0] = *e;
  ((unsigned*)(r->sq + r->array))[0] = 0;
  __atomic_store_n((unsigned*)(r->sq + r->tail), 1, __ATOMIC_RELEASE);
  must(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "io_uring_enter");
  return ((struct io_uring_cqe*)(r->cq + r->cqes))[0].res;
}
