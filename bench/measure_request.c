/* What a request to measure costs a program that loads files: measure_request MOUNT_POINT FOLDER ROUNDS
 * Prints nanoseconds for one file: open+read+close; the first request (new to the attester); the request for
 * an unchanged file; a buffer that is in the list already. The files are older than two seconds. */
#define _GNU_SOURCE
#include <assay.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096

static char* files[MOST];
static int count;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void list(const char* folder) {
  struct dirent* entry;
  DIR* dir = opendir(folder);
  while (dir != NULL && count < MOST && (entry = readdir(dir)) != NULL)
    if (entry->d_name[0] != '.' && asprintf(&files[count], "%s/%s", folder, entry->d_name) > 0) ++count;
  if (count == 0) exit(64);
  closedir(dir);
}

static double open_read_close(void) {
  char text[8192];
  const double from = now();
  for (int i = 0; i < count; ++i) {
    const int fd = open(files[i], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text)) < 0) abort();
    close(fd);
  }
  return (now() - from) / count;
}

/* The requests alone. */
static double ask(void) {
  static int fds[MOST];
  double from, to;
  for (int i = 0; i < count; ++i) fds[i] = open(files[i], O_RDONLY | O_CLOEXEC);
  from = now();
  for (int i = 0; i < count; ++i)
    if (assay_verdict_fd(fds[i], ASSAY_REQUIRE) < 0) abort();
  to = now();
  for (int i = 0; i < count; ++i) close(fds[i]);
  return (to - from) / count;
}

static double buffers(void) {
  enum { kTimes = 200 };
  const double from = now();
  for (int i = 0; i < kTimes; ++i)
    if (assay_measure_buffer("bench-c", "echo the same", 13) != 0) abort();
  return (now() - from) / kTimes;
}

int main(int argc, char** argv) {
  double first, best_open = 0, best_clean = 0;
  if (argc != 4) return 64;
  assay_set_mount_point(argv[1]);
  list(argv[2]);
  open_read_close();
  first = ask();
  for (int i = 0; i < atoi(argv[3]); ++i) {
    const double opened = open_read_close(), clean = ask();
    if (i == 0 || opened < best_open) best_open = opened;
    if (i == 0 || clean < best_clean) best_clean = clean;
  }
  printf("%.0f %.0f %.0f %.0f\n", best_open, first, best_clean, buffers());
  return 0;
}
