// Internal: what the files of libassay share.
//
//   // given: int memory
//   char request[ASSAY_REQUEST_MAX];
//   if (assay_request(request, "buffer", memory, "bash-c") == 0) assay_ask(assay_point(), request);
//
// Contract: C, system calls only, no lock; a negative number is an errno.
#ifndef ASSAY_INTERNAL_H
#define ASSAY_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#pragma GCC visibility push(hidden)

#define ASSAY_MAX_BUFFER ((size_t)16 << 20)
#define ASSAY_REQUEST_MAX 96 /* "buffer:", a number, ':', 32 characters, newline, and room */

const char* assay_point(void);
/* node.c. Both return a descriptor, or a negative errno. access: O_WRONLY or O_RDWR. */
int assay_node_open(const char* mount_point, int access);
/* One request, without its newline. Returns a verdict (ASSAY_UNJUDGED if the node is open for writing only).
 */
int assay_node_ask(int node, const char* request);
/* The same where -EACCES means that the owner refuses: the node's own EACCES, that the attester does not see
 * this process, is -EPERM. */
int assay_node_judge(int node, const char* request);
/* As both, with a verdict if this attester gives one. */
int assay_ask(const char* mount_point, const char* request);
/* "PREFIX:FD", "PREFIX:FD:WHAT", or "PREFIX:WHAT" if fd is negative. Returns 0, or -EINVAL for a `what` that
 * is none. */
int assay_request(char out[ASSAY_REQUEST_MAX], const char* prefix, int fd, const char* what);

/* cache.c. The state of a file, by which it is found again. */
struct assay_state {
  uint64_t dev, ino, size, mtime, ctime;
};
void assay_state_of(const struct stat* st, struct assay_state* state);
/* A verdict, or -1: it must be asked for. */
int assay_cache_find(const struct assay_state* state);
/* now_ns: the time before the file was measured. */
void assay_cache_keep(int fd, const struct assay_state* state, uint64_t now_ns, int verdict);
/* Whether the times of the file change with its content, whoever writes. Not where another program or machine
 * serves the file. */
int assay_times_prove(int fd, const struct stat* st);
/* Whether there was no attester a moment ago. */
int assay_absent_now(void);
void assay_note_absent(void);
uint64_t assay_now_ns(void);

/* verdict.c. */
int assay_is_absence(int error); /* whether it says that no attester runs */
int assay_required(unsigned flags);

/* sealed.c. Descriptors, or a negative errno. */
int assay_sealed_of(const void* data, size_t size);
/* Whether a process that is not root's may write to the file. */
int assay_may_change(const struct stat* st);

#pragma GCC visibility pop

#endif
