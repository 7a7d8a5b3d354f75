/* Without arguments: what the calls say where no attester runs. The tests of /run/assay run it with
 * "MOUNT_POINT FILE": all calls, there; with "MOUNT_POINT FILE TIMES": asks as often for the verdict; and
 * with "MOUNT_POINT FILE sealed CONTENT": what it opens must be a sealed copy. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "assay.h"

static int failures;

static void expect(const char* what, int got, int want) {
  if (got == want) return;
  printf("%s: %d (%s), not %d\n", what, got, strerror(-got), want);
  ++failures;
}

static void without_attester(void) {
  char dir[] = "/tmp/assay-lib.XXXXXX", path[128];
  int fd;
  if (mkdtemp(dir) == NULL) abort();
  fd = open("/proc/self/exe", O_RDONLY);
  expect("no attester", assay_measure_fd_at(dir, fd), -ENOENT);
  expect("a negative descriptor", assay_measure_fd_at(dir, -1), -EBADF);
  expect("no mount point", assay_measure_fd_at(NULL, fd), -EINVAL);
  expect("no path", assay_measure_path_at(dir, NULL), -EINVAL);
  expect("no such file", assay_measure_path_at(dir, "/no/such/file"), -ENOENT);
  expect("a folder", assay_measure_path_at(dir, dir), -EINVAL);
  snprintf(path, sizeof(path), "%s/measure", dir);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  expect("an ordinary file called measure", assay_measure_fd_at(dir, fd), -ENODEV);
  unlink(path);
  if (mkfifo(path, 0600) != 0) abort();
  expect("a FIFO instead of a file", assay_measure_path_at(dir, path), -EINVAL);
  unlink(path);
  rmdir(dir);
  close(fd);
}

/* No attester is no error, unless one is required; what was asked is checked all the same. */
static void not_required(const char* self) {
  int ends[2], fd;
  char text[4];
  assay_set_mount_point("/no/such/place");
  fd = assay_open_measured(self, 0);
  expect("a file opens", fd >= 0, 1);
  for (int i = 0; i < 3; ++i) expect("its verdict", assay_verdict_fd(fd, 0), ASSAY_ABSENT);
  expect("a text", assay_verdict_buffer("test-c", "x", 1, 0), ASSAY_ABSENT);
  expect("a text by no name", assay_verdict_buffer("Test c", "x", 1, 0), -EINVAL);
  expect("a name too long", assay_verdict_buffer("abcdefghijklmnopqrstuvwxyzabcdefg", "x", 1, 0), -EINVAL);
  expect("no text", assay_verdict_buffer("test-c", NULL, 1, 0), -EINVAL);
  expect("a text too long", assay_verdict_buffer("test-c", text, ((size_t)16 << 20) + 1, 0), -EFBIG);
  expect("measuring says that there is none", assay_measure_buffer("test-c", "x", 1), -ENOENT);
  expect("required: a file", assay_verdict_fd(fd, ASSAY_REQUIRE), -ENOENT);
  expect("required: opening", assay_open_measured(self, ASSAY_REQUIRE), -ENOENT);
  expect("required: a text", assay_verdict_buffer("test-c", "x", 1, ASSAY_REQUIRE), -ENOENT);
  expect("no descriptor", assay_verdict_fd(-1, 0), -EBADF);
  expect("no path", assay_open_measured(NULL, 0), -EINVAL);
  expect("no such file", assay_open_measured("/no/such/file", 0), -ENOENT);
  expect("a folder", assay_open_measured("/tmp", 0), -EISDIR);
  expect("an announcement", assay_announce("test"), -ENOENT);
  expect("an announcement of no name", assay_announce("A test"), -EINVAL);
  if (pipe(ends) != 0 || write(ends[1], "abc", 3) != 3) abort();
  expect("a pipe", assay_read_measured(ends[0], "test-stdin", 0), -ENOENT);
  expect("of which nothing was read", (int)read(ends[0], text, sizeof(text)), 3);
  close(ends[0]);
  close(ends[1]);
  close(fd);
}

/* SECBIT_EXEC_RESTRICT_FILE: what the kernel would not execute is not read as code. The bit can't be taken
 * back, so a child has it. Before Linux 6.14 there is none. */
static void restricted(const char* self) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    const int data = open("/etc/passwd", O_RDONLY), program = open(self, O_RDONLY);
    if (prctl(PR_SET_SECUREBITS, 1 << 8, 0, 0, 0) != 0) _exit(2);
    _exit(assay_verdict_fd(data, 0) != -EACCES || assay_verdict_fd(program, 0) != ASSAY_ABSENT);
  }
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
    printf("skipped: this kernel has no SECBIT_EXEC_RESTRICT_FILE\n");
  else
    expect("SECBIT_EXEC_RESTRICT_FILE", status, 0);
}

static int required_by_environment(const char* self) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    setenv("ASSAY_REQUIRED", "1", 1);
    execl(self, self, "required", (char*)NULL);
    _exit(125);
  }
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void is_sealed(const char* what, int fd, const char* content) {
  char text[64] = "";
  const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  expect(what, fd >= 0, 1);
  expect("it is sealed", fcntl(fd, F_GET_SEALS) & seals, seals);
  expect("it is closed by exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
  expect("it can't be written to", write(fd, "x", 1) < 0 ? errno : 0, EPERM);
  if (read(fd, text, sizeof(text) - 1) < 0) abort();
  expect("its content", strcmp(text, content), 0);
  close(fd);
}

static void copies(const char* file) {
  char path[] = "/tmp/assay-lib.XXXXXX";
  int ends[2], fd = mkstemp(path);
  if (fd < 0 || write(fd, "mine", 4) != 4 || fchmod(fd, 0666) != 0) abort();
  if (geteuid() == 0)
    close(fd); /* an ordinary user's open writer only means that there is no entry by path */
  is_sealed("a file that others may write to", assay_open_measured(path, 0), "mine");
  unlink(path);
  if (pipe(ends) != 0 || write(ends[1], "from a pipe", 11) != 11) abort();
  close(ends[1]);
  is_sealed("a pipe", assay_read_measured(ends[0], "test-stdin", ASSAY_REQUIRE), "from a pipe");
  close(ends[0]);
  fd = assay_open_measured(file, ASSAY_REQUIRE);
  expect("the file", fd >= 0, 1);
  close(fd);
}

static atomic_int stop;
static void* asks(void* file) {
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  while (!stop)
    if (assay_verdict_fd(fd, ASSAY_REQUIRE) < 0) abort();
  close(fd);
  return NULL;
}

/* Children that are made while other threads use the table go on at once. */
static void threads_and_children(char* file) {
  pthread_t threads[4];
  int good = 0;
  for (int i = 0; i < 4; ++i)
    if (pthread_create(&threads[i], NULL, asks, i % 2 == 0 ? file : (char*)"/proc/self/exe") != 0) abort();
  for (int i = 0; i < 50; ++i) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      _exit(assay_verdict_fd(open(file, O_RDONLY), ASSAY_REQUIRE) < 0);
    }
    waitpid(child, &status, 0);
    good += status == 0;
  }
  stop = 1;
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  expect("children that could ask", good, 50);
}

static void with_attester(const char* mount_point, char* file) {
  char text[8];
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  expect("by descriptor", assay_measure_fd_at(mount_point, fd), 0);
  expect("its offset", (int)lseek(fd, 0, SEEK_CUR), 0);
  expect("reading what was measured", read(fd, text, sizeof(text)) > 0 ? 0 : -errno, 0);
  expect("by name", assay_measure_path_at(mount_point, file), 0);
  expect("a closed descriptor", assay_measure_fd_at(mount_point, 987), -EBADF);
  assay_set_mount_point(mount_point);
  errno = 77;
  expect("a verdict", assay_verdict_fd(fd, 0) > ASSAY_ABSENT, 1);
  expect("errno stays", errno, 77);
  expect("a text", assay_measure_buffer("test-c", "some text", 9), 0);
  expect("an empty one", assay_verdict_buffer("test-c", "", 0, ASSAY_REQUIRE) > ASSAY_ABSENT, 1);
  copies(file);
  threads_and_children(file);
  close(fd);
}

/* Prints the last verdict. */
static int ask_often(const char* mount_point, const char* file, long times) {
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  int verdict = -1;
  assay_set_mount_point(mount_point);
  for (long i = 0; i < times; ++i) verdict = assay_verdict_fd(fd, 0);
  return verdict < 0 ? 99 : verdict;
}

int main(int argc, char** argv) {
  if (argc == 5) {
    assay_set_mount_point(argv[1]);
    is_sealed("a file that a server can change", assay_open_measured(argv[2], ASSAY_REQUIRE), argv[4]);
    return failures != 0;
  }
  if (argc == 4) return ask_often(argv[1], argv[2], atol(argv[3]));
  if (argc == 2) { /* "required" */
    assay_set_mount_point("/no/such/place");
    return assay_verdict_buffer("test-c", "x", 1, 0) == -ENOENT ? 42 : 1;
  }
  if (argc == 3) {
    with_attester(argv[1], argv[2]);
  } else {
    without_attester();
    not_required("/proc/self/exe");
    restricted("/proc/self/exe");
    expect("ASSAY_REQUIRED=1", required_by_environment("/proc/self/exe"), 42);
  }
  return failures != 0;
}
