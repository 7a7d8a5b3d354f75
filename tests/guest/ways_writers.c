/* Ways by changing a file at a moment, or by a way, at which nobody may be looking. */
#define _GNU_SOURCE
#include <endian.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ways.h"

#define PAGE 4096UL
#define LOADER "/lib64/ld-linux-x86-64.so.2"
#define DISK "/dev/disk/disk0"

typedef int (*function)(void);

/* One page of code that returns n: 42 is what the way wants to run, anything else is what it shows first. */
static struct content page(int n, const char* step) {
  struct content c = code(step);
  unsigned char* bytes = calloc(1, PAGE);
  must(bytes != NULL && c.size <= PAGE, "a page");
  memcpy(bytes, c.bytes, c.size);
  bytes[1] = (unsigned char)n;
  return (struct content){bytes, PAGE};
}
static int call(void* p) {
  function f;
  memcpy(&f, &p, sizeof(f));
  return f();
}
static void* map(int fd, int protection, int flags) {
  void* p = mmap(NULL, PAGE, protection, flags, fd, 0);
  must(p != MAP_FAILED, "mmap");
  return p;
}
static void* map_code(const char* path, int flags) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  must(fd >= 0, path);
  void* p = map(fd, PROT_READ | PROT_EXEC, flags);
  close(fd);
  return p;
}
/* In a process of its own, which maps it anew. */
static int call_in_child(const char* path) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) _exit(call(map_code(path, MAP_PRIVATE)));
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  return WEXITSTATUS(status);
}
static void as_user(void) {
  must(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0, "setresuid");
  must(prctl(PR_SET_DUMPABLE, 1) == 0, "prctl"); /* its /proc entries are its own */
}
static void shell(const char* format, const char* path) {
  char command[4096];
  must(snprintf(command, sizeof(command), format, path) < (int)sizeof(command), "snprintf");
  must(system(command) == 0, command);
}
static void on_tmpfs(void) {
  mkdir(at("mount"), 0777);
  must(mount("tmpfs", at("mount"), "tmpfs", 0, "mode=777") == 0, "tmpfs");
}
static void overwrite(const char* path, struct content c) {
  int fd = open(path, O_WRONLY);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size && close(fd) == 0, path);
}
static char* put_for_all(const char* name, struct content c) {
  char* path = put(name, c);
  must(chmod(path, 0777) == 0, path);
  return path;
}

/* It takes a while to hash 30 MiB; the writer opens the file in between, and writes after the load. */
static const char* slow_path;
static volatile int slow_begun, slow_fd = -1;
static void* writer_of_slow(void* unused) {
  (void)unused;
  while (!slow_begun) usleep(100);
  usleep(60000);
  slow_fd = open(slow_path, O_WRONLY);
  return NULL;
}
static int writer_meanwhile(void) {
  struct content c = {calloc(1, 30 << 20), 30 << 20};
  must(c.bytes != NULL, "calloc");
  memcpy(c.bytes, page(41, "1").bytes, PAGE);
  slow_path = put_for_all("data", c);
  struct content later = page(42, "2");
  memcpy(c.bytes, later.bytes, PAGE);
  say_digest(c);
  as_user();
  pthread_t thread;
  must(pthread_create(&thread, NULL, writer_of_slow, NULL) == 0, "pthread_create");
  int fd = open(slow_path, O_RDONLY);
  slow_begun = 1;
  void* x = map(fd, PROT_READ | PROT_EXEC, MAP_SHARED);
  pthread_join(thread, NULL);
  must(slow_fd >= 0 && pwrite(slow_fd, later.bytes, PAGE, 0) == (ssize_t)PAGE, "pwrite");
  ran_if(call(x) == 42);
  usleep(300000);
  return 0;
}

/* What is in use is written to, where it could not become clean. */
static int written_in_use(const char* name) {
  const char* path = put_for_all(name, page(41, "1"));
  struct content later = page(42, "2");
  say_digest(later);
  as_user();
  void* x = map_code(path, MAP_SHARED);
  must(call(x) == 41, "what was measured");
  overwrite(path, later);
  ran_if(call(x) == 42);
  usleep(300000);
  return 0;
}
static int in_use_on_loop(void) {
  shell(
      "modprobe loop && cd %s && truncate -s 8M image && mkfs.ext4 -q image && mkdir -p mount && "
      "mount -o loop image mount && chmod 777 mount && sleep 1",
      at(""));
  return written_in_use("mount/code");
}
static int in_use_raw(void) {
  int device = open(DISK, O_WRONLY);
  if (device < 0) return unsupported("the guest has no " DISK);
  usleep(300000);
  return written_in_use("code");
}
static int in_use_truncated(void) {
  const char* path = put_for_all("code", page(42, "1"));
  void* x = map_code(path, MAP_PRIVATE);
  ran_if(call(x) == 42);
  must(truncate(path, PAGE / 2) == 0, "truncate");
  usleep(300000);
  return 0;
}
static void overlay(const char* options) {
  const char* dirs[] = {"mount/lower", "mount/upper", "mount/work", "mount/merged"};
  on_tmpfs();
  for (int i = 0; i < 4; ++i) mkdir(at(dirs[i]), 0755);
  char* data = NULL;
  must(asprintf(&data, "%slowerdir=%s,upperdir=%s,workdir=%s", options, at("mount/lower"), at("mount/upper"),
                at("mount/work")) > 0,
       "asprintf");
  must(mount("overlay", at("mount/merged"), "overlay", 0, data) == 0, "overlay");
}
static int in_use_overlay(void) {
  overlay("");
  put("mount/lower/code", page(41, "1"));
  struct content later = page(42, "2");
  say_digest(later);
  void* x = map_code(at("mount/merged/code"), MAP_SHARED);
  must(call(x) == 41, "what was measured");
  overwrite(at("mount/lower/code"), later);
  ran_if(call(x) == 42);
  usleep(300000);
  return 0;
}
/* overlayfs opens the file below by itself. */
static int script_on_overlay(void) {
  overlay("");
  put("mount/lower/script.sh", script("1"));
  char* argv[] = {"/bin/sh", at("mount/merged/script.sh"), NULL};
  char* envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  return run(argv, envp);
}
/* The upper layer has the metadata, the lower one the data. */
static int overlay_metacopy(void) {
  overlay("metacopy=on,redirect_dir=on,");
  put("mount/lower/program", program("1"));
  must(chmod(at("mount/merged/program"), 0711) == 0, "chmod");
  run_program(at("mount/merged/program"));
  put("mount/lower/program", program("2"));
  return run_program(at("mount/merged/program"));
}

/* A copy of the loader is executed, which can't be clean in a mount that another program's exec comes by, and
 * is then, rewritten, the interpreter of the next one. */
static int stale_cover(int user) {
  char *ready = at("ready"), *done = at("done"), *script = NULL;
  char* loader = put_for_all("loader", file_with(LOADER, "1"));
  struct content later = program("2");
  say_digest(later);
  chmod(at(""), 0777);
  if (user) must(chown(loader, 1000, 1000) == 0, "chown");
  shell("sh -c : ; sleep 0.1; mount --version > %s; /bin/true", "/dev/null");
  must(asprintf(&script,
                "exec /bin/sh -c ': > %s; while ! [ -e %s ]; do sleep 0.2; done; mount --bind %s " LOADER
                "; exec /bin/true'",
                ready, done, loader) > 0,
       "asprintf");
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    if (user) {
      struct content deny = {(unsigned char*)"deny", 4}, ids = {(unsigned char*)"0 1000 1\n", 9};
      as_user();
      must(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare");
      write_file("/proc/self/setgroups", deny);
      write_file("/proc/self/uid_map", ids);
      write_file("/proc/self/gid_map", ids);
    } else {
      must(unshare(CLONE_NEWNS) == 0, "unshare");
    }
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
    char* argv[] = {loader, "/bin/sh", "-c", script, NULL};
    char* envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    execve(loader, argv, envp);
    _exit(127);
  }
  for (int i = 0; i < 200 && access(ready, F_OK) != 0; ++i) usleep(100000);
  usleep(300000); /* nobody uses it any more */
  write_file(loader, later);
  close(open(done, O_CREAT | O_WRONLY, 0666));
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  return WEXITSTATUS(status);
}
static int cover_root(void) { return stale_cover(0); }
static int cover_user(void) { return stale_cover(1); }

/* Pages of the file that somebody still holds after the writer has closed it, and after it was measured. */
static int pinned(void) {
  on_tmpfs();
  const char* path = put_for_all("mount/code", page(41, "1"));
  struct content later = page(42, "2");
  as_user();
  struct uring ring;
  if (!uring_setup(&ring)) return unsupported("io_uring_setup is refused");
  int fd = open(path, O_RDWR);
  must(fd >= 0, path);
  void* w = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  if (!uring_buffer(&ring, w, PAGE)) return unsupported("io_uring takes no buffers");
  must(munmap(w, PAGE) == 0 && close(fd) == 0, "munmap");
  must(call_in_child(path) == 41, "what was measured");
  say_digest(later);
  int ends[2];
  must(pipe(ends) == 0 && write(ends[1], later.bytes, PAGE) == (ssize_t)PAGE, "pipe");
  struct io_uring_sqe e = {.opcode = IORING_OP_READ_FIXED,
                           .fd = ends[0],
                           .addr = (uint64_t)(uintptr_t)w,
                           .len = PAGE,
                           .off = (uint64_t)-1};
  must(uring_do(&ring, &e) == (int)PAGE, "IORING_OP_READ_FIXED");
  ran_if(call_in_child(path) == 42);
  return 0;
}
static int late_fd;
static void* late_target;
static void* late_read(void* unused) {
  (void)unused;
  must(read(late_fd, late_target, PAGE) == (ssize_t)PAGE, "the late read");
  return NULL;
}
static int pinned_on_disk(void) {
  const char* path = put("code", page(41, "1"));
  struct content later = page(42, "2");
  pid_t server = serve_fuse_late(at("fuse"), later);
  late_fd = open(at("fuse/file"), O_RDONLY);
  must(late_fd >= 0, "fuse/file");
  must(kill(server, SIGUSR2) == 0, "kill");
  int fd = open(path, O_RDWR);
  late_target = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  ((volatile char*)late_target)[PAGE - 1] = 0; /* the page is there */
  pthread_t thread;
  must(pthread_create(&thread, NULL, late_read, NULL) == 0, "pthread_create");
  usleep(500000);
  must(munmap(late_target, PAGE) == 0 && close(fd) == 0, "munmap");
  must(call_in_child(path) == 41, "what was measured");
  say_digest(later);
  must(kill(server, SIGUSR1) == 0, "kill");
  pthread_join(thread, NULL);
  ran_if(call_in_child(path) == 42);
  end_fuse(server);
  return 0;
}
/* As linkers do that write their output through a mapping: nobody holds its pages when they have ended. */
static int written_through_mapping(void) {
  struct content c = program("1");
  const char* path = at("program");
  say_digest(c);
  fflush(NULL);
  pid_t linker = fork();
  if (linker == 0) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0755);
    must(fd >= 0 && ftruncate(fd, (off_t)c.size) == 0, path);
    void* w = mmap(NULL, c.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(w != MAP_FAILED, "mmap");
    memcpy(w, c.bytes, c.size);
    _exit(0);
  }
  must(waitpid(linker, NULL, 0) == linker, "waitpid");
  return run_program(path);
}

static int shell_read_write(void) {
  char command[512];
  snprintf(command, sizeof(command), "sh <> %s", put_for_all("script.sh", script("1")));
  as_user();
  char* argv[] = {"/bin/sh", "-c", command, NULL};
  char* envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  return run(argv, envp);
}

/* One file in a file system that the engine has never heard of. Source: Documentation/filesystems/romfs.rst.
 */
static uint32_t* rom_header(uint32_t* at_, uint32_t next, uint32_t info, uint32_t size, const char* name) {
  at_[0] = htobe32(next), at_[1] = htobe32(info), at_[2] = htobe32(size), at_[3] = 0;
  memcpy(at_ + 4, name, strlen(name));
  return at_ + 8;
}
static int script_on_romfs(void) {
  struct content c = script("1");
  static uint32_t image[4096 / 4];
  must(c.size <= 4096 - 96, "script");
  memcpy(image, "-rom1fs-", 8);
  image[2] = htobe32(96 + (uint32_t)c.size);
  memcpy(image + 4, "rom", 3);
  rom_header(image + 8, 64 | 1 | 8, 32, 0, ".");
  memcpy(rom_header(image + 16, 0 | 2 | 8, 0, (uint32_t)c.size, "script.sh"), c.bytes, c.size);
  uint32_t sum = 0;
  for (int i = 0; i < 512 / 4 && i < (int)((96 + c.size) / 4); ++i) sum += be32toh(image[i]);
  image[3] = htobe32(-sum);
  struct content rom = {(unsigned char*)image, sizeof(image)};
  write_file(at("image"), rom);
  say_digest(c);
  shell(
      "modprobe romfs && modprobe loop && cd %s && (umount -q mount; mkdir -p mount) && mount -t romfs -o "
      "loop,ro image mount "
      "&& sleep 1",
      at(""));
  char* argv[] = {"/bin/sh", at("mount/script.sh"), NULL};
  char* envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  return run(argv, envp);
}

const struct way kWriterWays[] = {
    {"writer-meanwhile",
     "a file mapped executable; a writer opens it while it is measured, and writes later (user)",
     writer_meanwhile},
    {"in-use-loop", "code on a loop device's file system, written to while it is mapped (user)",
     in_use_on_loop},
    {"in-use-raw", "the same, while a block device is open for writing (user)", in_use_raw},
    {"in-use-truncated", "code truncated by path while it is mapped", in_use_truncated},
    {"in-use-overlay", "overlayfs: the lower layer's file written to while it is mapped", in_use_overlay},
    {"overlay-script", "overlayfs: sh FILE of the lower layer", script_on_overlay},
    {"overlay-metacopy", "overlayfs, metacopy: run, the lower layer's file rewritten, run again",
     overlay_metacopy},
    {"cover", "an interpreter that was run as a program, rewritten since, in the next exec of the same task",
     cover_root},
    {"cover-user", "the same, by an ordinary user in a user namespace", cover_user},
    {"pinned", "a page held by io_uring, written after its file was closed and measured (tmpfs, user)",
     pinned},
    {"pinned-disk",
     "a page held by a read that FUSE answers late, written after the file was closed and measured",
     pinned_on_disk},
    {"mapped-output", "a program written through a shared mapping, as by a linker", written_through_mapping},
    {"stdin-read-write", "sh <> FILE (user)", shell_read_write},
    {"romfs", "sh FILE on a file system of an unknown kind (romfs)", script_on_romfs},
    {NULL, NULL, NULL}};
