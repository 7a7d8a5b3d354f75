/* Ways of getting code to run on Linux, one function each, for docs/coverage.md.
 *
 *   WAY(exec, "a program") { program_at(dir("a"), "1"); ... }
 *
 * Contract: a way prints "digest HEX" for each content that shall be measured, and the code that it gets to
 * run prints "ran". It returns 0, or UNSUPPORTED with a reason printed. Content is always made in memory and
 * written: it is never read by the way itself, so that a measurement of reads shows nothing that a load did
 * not cause. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum { UNSUPPORTED = 77 };

struct content {
  unsigned char* bytes;
  size_t size;
};

struct way {
  const char* name;
  const char* what; /* for the table */
  int (*run)(void);
};
extern const struct way kExecWays[], kInterpreterWays[], kMemoryWays[], kKernelWays[], kUnaskedWays[],
    kWriterWays[]; /* end with a null name */

extern const char* way_name;

/* Content that is the given way's own; step tells several apart. */
struct content program(const char* step);                     /* prints "ran", needs no library */
struct content dynamic(const char* step);                     /* the same, with libc */
struct content library(const char* step);                     /* prints "ran" when it is loaded */
struct content code(const char* step);                        /* one page: a function that returns 42 */
struct content script(const char* step);                      /* for sh */
struct content file_with(const char* path, const char* step); /* a file's bytes and a mark */

void say_digest(struct content c);
/* A path in the way's own folder on the root file system. The string is the caller's, and is never freed. */
char* at(const char* name);
void write_file(const char* path, struct content c); /* O_TRUNC, in place */
char* put(const char* name, struct content c);       /* at(name), written, 0755, its digest said */
int run(char* const argv[], char* const envp[]);     /* fork, execve, wait */
int run_program(const char* path);
void must(int ok, const char* what); /* prints errno and ends */
int unsupported(const char* why);
/* The first content's bytes become the second's in what lies below a mounted file system: its image or its
 * device. Says the second's digest. What the page cache holds of the file stays. */
void rewrite_below(const char* image, struct content first, struct content second);
void drop_caches(void); /* what the kernel holds of files and of devices is read anew */
void in_user_namespace(void);
void ran_if(int ok);
/* A server for a mount point, which it makes; every file there has this content. */
pid_t serve_fuse(const char* mount_point, struct content file);
/* The same; each read is a request to it. From SIGUSR2 to SIGUSR1 it answers none. */
pid_t serve_fuse_late(const char* mount_point, struct content file);
void end_fuse(pid_t server);

struct io_uring_sqe;
struct uring {
  int fd;
  unsigned char *sq, *cq;
  unsigned array, tail, cqes;
  struct io_uring_sqe* entry;
};
int uring_setup(struct uring* r); /* 0: refused */
int uring_buffer(struct uring* r, void* address, size_t size);
int uring_do(struct uring* r, const struct io_uring_sqe* e); /* its result */
