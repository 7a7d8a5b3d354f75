/* See ways.h. `ways list` prints the names and what they are; `ways NAME` does it. */
#define _GNU_SOURCE
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/var/tmp/ways"

const char* way_name;

#define EMBED(name, path)                                                                     \
  __asm__(".section .rodata\n" #name ":\n.incbin \"" path "\"\n" #name "_end:\n.previous\n"); \
  extern const unsigned char name[], name##_end[]

EMBED(payload_program, PAYLOAD_PROGRAM);
EMBED(payload_dynamic, PAYLOAD_DYNAMIC);
EMBED(payload_library, PAYLOAD_LIBRARY);

void must(int ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "%s: %s: %s\n", way_name, what, strerror(errno));
  exit(1);
}

int unsupported(const char* why) {
  printf("unsupported %s\n", why);
  return UNSUPPORTED;
}

void ran_if(int ok) {
  if (ok) puts("ran");
  fflush(stdout);
}

static struct content marked(const void* bytes, size_t size, const char* step) {
  char mark[128];
  int n = snprintf(mark, sizeof(mark), "\n# way %s %s %ld\n", way_name, step, (long)getppid());
  struct content c = {malloc(size + (size_t)n), size + (size_t)n};
  must(c.bytes != NULL, "malloc");
  memcpy(c.bytes, bytes, size);
  memcpy(c.bytes + size, mark, (size_t)n);
  return c;
}

struct content program(const char* step) {
  return marked(payload_program, (size_t)(payload_program_end - payload_program), step);
}
struct content dynamic(const char* step) {
  return marked(payload_dynamic, (size_t)(payload_dynamic_end - payload_dynamic), step);
}
struct content library(const char* step) {
  return marked(payload_library, (size_t)(payload_library_end - payload_library), step);
}
struct content script(const char* step) {
  static const char kText[] = "#!/bin/sh\necho ran\n";
  return marked(kText, sizeof(kText) - 1, step);
}
struct content code(const char* step) {
  static const unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
  unsigned char page[4000];
  memset(page, 0xcc, sizeof(page));
  memcpy(page, kReturn42, sizeof(kReturn42));
  return marked(page, sizeof(page), step);
}
struct content file_with(const char* path, const char* step) {
  int fd = open(path, O_RDONLY);
  struct stat st;
  must(fd >= 0 && fstat(fd, &st) == 0, path);
  unsigned char* bytes = malloc((size_t)st.st_size);
  must(bytes && read(fd, bytes, (size_t)st.st_size) == st.st_size, path);
  close(fd);
  struct content c = marked(bytes, (size_t)st.st_size, step);
  free(bytes);
  return c;
}

void say_digest(struct content c) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(c.bytes, c.size, digest);
  printf("digest ");
  for (size_t i = 0; i < sizeof(digest); ++i) printf("%02x", digest[i]);
  puts("");
  fflush(stdout);
}

char* at(const char* name) {
  char* path = NULL;
  must(asprintf(&path, FOLDER "/%s/%s", way_name, name) > 0, "asprintf");
  return path;
}

void write_file(const char* path, struct content c) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  must(fd >= 0, path);
  must(write(fd, c.bytes, c.size) == (ssize_t)c.size, path);
  must(close(fd) == 0, path);
}

char* put(const char* name, struct content c) {
  char* path = at(name);
  write_file(path, c);
  say_digest(c);
  return path;
}

void drop_caches(void) { must(system("sync && echo 3 > /proc/sys/vm/drop_caches") == 0, "drop_caches"); }

void rewrite_below(const char* image, struct content first, struct content second) {
  char command[1024];
  say_digest(second);
  write_file(at("old"), first);
  write_file(at("new"), second);
  /* Blocks of zeros may have no place in an image: only what follows shortly before the mark is looked for. */
  snprintf(command, sizeof(command),
           "python3 -c \"d=open('%2$s','r+b'); b=d.read(); o=open('%1$s/old','rb').read(); "
           "n=open('%1$s/new','rb').read(); i=next(k for k in range(len(o)) if o[k]!=n[k])-12; "
           "d.seek(b.index(o[i:])); d.write(n[i:])\" && sync",
           at(""), image);
  must(system(command) == 0, "rewriting the image");
}

int run(char* const argv[], char* const envp[]) {
  fflush(NULL);
  pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    execve(argv[0], argv, envp);
    perror(argv[0]);
    _exit(127);
  }
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int run_program(const char* path) {
  char* argv[] = {(char*)path, NULL};
  char* envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  return run(argv, envp);
}

void in_user_namespace(void) {
  must(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare");
  struct content map = {(unsigned char*)"0 0 1\n", 6}, deny = {(unsigned char*)"deny", 4};
  write_file("/proc/self/setgroups", deny);
  write_file("/proc/self/uid_map", map);
  write_file("/proc/self/gid_map", map);
}

int main(int argc, char** argv) {
  const struct way* tables[] = {kExecWays, kInterpreterWays, kMemoryWays, kKernelWays, kUnaskedWays, kWriterWays};
  for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); ++t) {
    for (const struct way* w = tables[t]; w->name; ++w) {
      if (argc == 2 && strcmp(argv[1], "list") == 0) printf("%s\t%s\n", w->name, w->what);
      if (argc != 2 || strcmp(argv[1], w->name) != 0) continue;
      umask(0);
      way_name = w->name;
      mkdir(FOLDER, 0777);
      mkdir(at(""), 0777);
      int result = w->run();
      fflush(NULL);
      return result;
    }
  }
  return argc == 2 && strcmp(argv[1], "list") == 0 ? 0 : 2;
}
