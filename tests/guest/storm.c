/* A storm of new programs and libraries: storm FOLDER LOG SECONDS WORKERS
 *
 * Each worker makes a program or a library that never was before, runs or loads it, and adds a line to the
 * log: "ran" or "refused", its path, its SHA-256, and the milliseconds that it took. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EMBED(name, path)                                                                     \
  __asm__(".section .rodata\n" #name ":\n.incbin \"" path "\"\n" #name "_end:\n.previous\n"); \
  extern const unsigned char name[], name##_end[]

EMBED(payload_program, PAYLOAD_PROGRAM);
EMBED(payload_library, PAYLOAD_LIBRARY);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void one(const char* folder, int log, int worker, int number) {
  const int is_library = number % 3 == 0;
  const unsigned char* base = is_library ? payload_library : payload_program;
  size_t size = (size_t)((is_library ? payload_library_end : payload_program_end) - base);
  static unsigned char bytes[1 << 20];
  memcpy(bytes, base, size);
  size += (size_t)snprintf((char*)bytes + size, 64, "\nstorm %d %d %d\n", (int)getpid(), worker, number);
  char path[256];
  snprintf(path, sizeof(path), "%s/%d-%d-%d%s", folder, (int)getpid(), worker, number,
           is_library ? ".so" : "");
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd) != 0) exit(1);
  double from = now();
  pid_t pid = fork();
  if (pid == 0) {
    dup2(open("/dev/null", O_WRONLY), 1);
    if (is_library) _exit(dlopen(path, RTLD_NOW) ? 0 : 126);
    char* argv[] = {path, NULL};
    execv(path, argv);
    _exit(126);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) exit(1);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(bytes, size, digest);
  char line[512], *p = line;
  p += sprintf(p, "%s %s ", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "ran" : "refused", path);
  for (size_t i = 0; i < sizeof(digest); ++i) p += sprintf(p, "%02x", digest[i]);
  p += sprintf(p, " %.0f\n", (now() - from) * 1000);
  if (write(log, line, (size_t)(p - line)) != p - line) exit(1);
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  mkdir(argv[1], 0755);
  int log = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  double until = now() + atof(argv[3]);
  for (int worker = 0; worker < atoi(argv[4]); ++worker) {
    if (fork() != 0) continue;
    for (int number = 1; now() < until; ++number) one(argv[1], log, worker, number);
    return 0;
  }
  int status, failed = 0;
  while (wait(&status) > 0) failed |= status != 0;
  return failed;
}
