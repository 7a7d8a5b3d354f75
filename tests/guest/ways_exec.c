/* Ways by exec, by the dynamic loader and by interpreters. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ways.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif
#define LOADER "/lib64/ld-linux-x86-64.so.2"

static char* const kEnvironment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

static int exec(void) { return run_program(put("program", program("1"))); }

static int exec_user(void) {
  const char* path = put("program", program("1"));
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  return run_program(path);
}

static int exec_script(void) { return run_program(put("script", script("1"))); }

static int interpreter(void) {
  const char* name = put("interpreter", program("1"));
  char text[256];
  snprintf(text, sizeof(text), "#!%s\n# %ld\n", name, (long)getpid());
  struct content c = {(unsigned char*)text, strlen(text)};
  return run_program(put("script", c));
}

static int by_descriptor(int fd) {
  char* argv[] = {"program", NULL};
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    syscall(SYS_execveat, fd, "", argv, kEnvironment, AT_EMPTY_PATH);
    perror("execveat");
    _exit(127);
  }
  int status = 0;
  must(waitpid(pid, &status, 0) == pid, "waitpid");
  return WEXITSTATUS(status);
}

static int execveat_descriptor(void) {
  int fd = open(put("program", program("1")), O_RDONLY);
  must(fd >= 0, "open");
  return by_descriptor(fd);
}

static int execve_check(void) {
  int fd = open(put("script", script("1")), O_RDONLY);
  char* argv[] = {"script", NULL};
  if (syscall(SYS_execveat, fd, "", argv, kEnvironment, AT_EMPTY_PATH | AT_EXECVE_CHECK) != 0)
    return unsupported("AT_EXECVE_CHECK needs Linux 6.14");
  puts("ran");
  return 0;
}

static int memory_file(unsigned flags, int seal) {
  struct content c = program("1");
  int fd = memfd_create("way", flags | MFD_ALLOW_SEALING);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size, "memfd");
  if (seal) must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0, "seal");
  say_digest(c);
  return by_descriptor(fd);
}
static int memfd(void) { return memory_file(0, 0); }
static int memfd_cloexec(void) { return memory_file(MFD_CLOEXEC, 0); }
static int memfd_sealed(void) { return memory_file(MFD_CLOEXEC, 1); }

static int unlinked(void) {
  const char* path = put("program", program("1"));
  int fd = open(path, O_RDONLY);
  must(fd >= 0 && unlink(path) == 0, path);
  return by_descriptor(fd);
}

static int tmpfile_exec(void) {
  struct content c = program("1");
  int fd = open(at(""), O_TMPFILE | O_RDWR, 0755);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size, "O_TMPFILE");
  say_digest(c);
  char name[64];
  snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
  int read_only = open(name, O_RDONLY);
  close(fd);
  return by_descriptor(read_only);
}

static const char* mounted(const char* type, const char* data) {
  char* path = at("mount");
  mkdir(path, 0755);
  must(mount(type, path, type, 0, data) == 0, type);
  return path;
}

static int on_tmpfs(void) {
  mounted("tmpfs", NULL);
  return run_program(put("mount/program", program("1")));
}

static void overlay(void) {
  mounted("tmpfs", NULL);
  const char* dirs[] = {"mount/lower", "mount/upper", "mount/work", "mount/merged"};
  for (int i = 0; i < 4; ++i) mkdir(at(dirs[i]), 0755);
}
static void overlay_mount(void) {
  char* data = NULL;
  must(asprintf(&data, "lowerdir=%s,upperdir=%s,workdir=%s", at("mount/lower"), at("mount/upper"),
                at("mount/work")) > 0,
       "asprintf");
  must(mount("overlay", at("mount/merged"), "overlay", 0, data) == 0, "overlay");
}
static int on_fuse(void) {
  struct content c = program("1");
  pid_t server = serve_fuse(at("mount"), c);
  say_digest(c);
  int result = run_program(at("mount/file"));
  end_fuse(server);
  return result;
}

static int overlay_lower(void) {
  overlay();
  put("mount/lower/program", program("1"));
  overlay_mount();
  return run_program(at("mount/merged/program"));
}
static int overlay_upper(void) {
  overlay();
  overlay_mount();
  return run_program(put("mount/merged/program", program("1")));
}
static int overlay_copied_up(void) {
  overlay();
  put("mount/lower/program", program("1"));
  overlay_mount();
  run_program(at("mount/merged/program"));
  return run_program(put("mount/merged/program", program("2")));
}
/* Below the overlay's back: not defined by overlayfs, but it works. */
static int overlay_lower_rewritten(void) {
  overlay();
  put("mount/lower/program", program("1"));
  overlay_mount();
  run_program(at("mount/merged/program"));
  put("mount/lower/program", program("2"));
  return run_program(at("mount/merged/program"));
}

static int bind_mount(void) {
  put("program", program("1"));
  mkdir(at("bound"), 0755);
  must(mount(at(""), at("bound"), NULL, MS_BIND, NULL) == 0, "bind");
  return run_program(at("bound/program"));
}

/* Another file comes to lie at the path. */
static int mounted_over(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  must(mount(put("other", program("2")), path, NULL, MS_BIND, NULL) == 0, "bind");
  return run_program(path);
}

static void mount_loop(void) {
  char command[1024];
  snprintf(command, sizeof(command),
           "modprobe loop && truncate -s 8M %1$s/image && mkfs.ext4 -q %1$s/image && mkdir -p %1$s/mount && "
           "mount -o loop %1$s/image %1$s/mount",
           at(""));
  must(system(command) == 0, "loop");
}
static int loop_mount(void) {
  mount_loop();
  return run_program(put("mount/program", program("1")));
}

/* The image is written to while it is mounted: the file changes without ever being opened. */
static int loop_rewritten(void) {
  struct content first = program("1");
  mount_loop();
  const char* path = put("mount/program", first);
  sync();
  run_program(path);
  rewrite_below(at("image"), first, program("2"));
  drop_caches();
  return run_program(path);
}

static int mount_namespace(void) {
  must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "unshare");
  return on_tmpfs();
}
static int user_namespace(void) {
  in_user_namespace();
  return on_tmpfs();
}
static int chrooted(void) {
  put("program", program("1"));
  must(chroot(at("")) == 0 && chdir("/") == 0, "chroot");
  return run_program("/program");
}

static int hard_link(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  must(link(path, at("second-name")) == 0, "link");
  say_digest(program("1")); /* under each name */
  return run_program(at("second-name"));
}
static int renamed(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  must(rename(path, at("second-name")) == 0, "rename");
  say_digest(program("1"));
  return run_program(at("second-name"));
}
static int renamed_over(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  must(rename(put("other", program("2")), path) == 0, "rename");
  return run_program(path);
}
static int exchanged(void) {
  const char* path = put("program", program("1"));
  const char* other = put("other", program("2"));
  run_program(path);
  must(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE) == 0, "renameat2");
  return run_program(path);
}
static int rewritten(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  put("program", program("2"));
  return run_program(path);
}
static int restored(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  put("program", program("2"));
  run_program(path);
  put("program", program("1"));
  return run_program(path);
}
static int truncated(void) {
  struct content c = program("1");
  const char* path = put("program", c);
  run_program(path);
  c.size -= 1;
  say_digest(c);
  must(truncate(path, (off_t)c.size) == 0, "truncate");
  return run_program(path);
}
static int copied_in(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  int from = open(put("other", program("2")), O_RDONLY);
  int to = open(path, O_WRONLY | O_TRUNC);
  must(from >= 0 && to >= 0 && copy_file_range(from, NULL, to, NULL, 1 << 20, 0) > 0, "copy_file_range");
  close(from), close(to);
  return run_program(path);
}
static int direct_write(void) {
  struct content c = program("2");
  const char* path = put("program", program("1"));
  run_program(path);
  size_t size = (c.size + 4095) & ~4095UL;
  void* buffer = NULL;
  must(posix_memalign(&buffer, 4096, size) == 0, "posix_memalign");
  memset(buffer, 0, size);
  memcpy(buffer, c.bytes, c.size);
  struct content padded = {buffer, size};
  say_digest(padded);
  int fd = open(path, O_WRONLY | O_TRUNC | O_DIRECT);
  must(fd >= 0 && write(fd, buffer, size) == (ssize_t)size, "O_DIRECT");
  close(fd);
  return run_program(path);
}

static int loader_by_hand(void) {
  char* argv[] = {LOADER, put("program", dynamic("1")), NULL};
  return run(argv, kEnvironment);
}
static int preloaded(void) {
  char* variable = NULL;
  must(asprintf(&variable, "LD_PRELOAD=%s", put("library.so", library("1"))) > 0, "asprintf");
  char* environment[] = {variable, NULL};
  char* argv[] = {"/bin/true", NULL};
  return run(argv, environment);
}
static int audited(void) {
  char* variable = NULL;
  must(asprintf(&variable, "LD_AUDIT=%s", put("library.so", library("1"))) > 0, "asprintf");
  char* environment[] = {variable, NULL};
  char* argv[] = {"/bin/true", NULL};
  return run(argv, environment);
}
static int opened_library(void) { return dlopen(put("library.so", library("1")), RTLD_NOW) == NULL; }
static int opened_library_user(void) {
  const char* path = put("library.so", library("1"));
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  return dlopen(path, RTLD_NOW) == NULL;
}
/* Somebody has it open for writing while it is loaded. */
static int library_open_writer(void) {
  const char* path = put("library.so", library("1"));
  int writer = open(path, O_WRONLY);
  must(writer >= 0, path);
  return dlopen(path, RTLD_NOW) == NULL;
}
/* It is written to after it was loaded, while it is in use. */
static int library_written_in_use(void) {
  const char* path = put("library.so", library("1"));
  if (!dlopen(path, RTLD_NOW)) return 1;
  struct content c = library("2");
  int fd = open(path, O_WRONLY);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size, path);
  close(fd);
  return 0;
}

/* A writer comes and goes while others load it; what is there in the end is what must be known. */
static int library_race(void) {
  const char* path = at("library.so");
  struct content a = library("1"), b = library("2"), last = library("3");
  write_file(path, a);
  char* variable = NULL;
  must(asprintf(&variable, "LD_PRELOAD=%s", path) > 0, "asprintf");
  char* environment[] = {variable, NULL};
  fflush(NULL);
  pid_t writer = fork();
  if (writer == 0) {
    for (int i = 0; i < 300; ++i) {
      int fd = open(path, O_WRONLY);
      must(fd >= 0 && write(fd, i % 2 ? a.bytes : b.bytes, a.size) == (ssize_t)a.size, path);
      close(fd);
      usleep(1000);
    }
    _exit(0);
  }
  int null = open("/dev/null", O_WRONLY), out = dup(1);
  dup2(null, 1);
  char* argv[] = {"/bin/true", NULL};
  for (int i = 0; i < 20; ++i) run(argv, environment);
  waitpid(writer, NULL, 0);
  fflush(NULL);
  dup2(out, 1);
  int fd = open(path, O_WRONLY);
  must(fd >= 0 && write(fd, last.bytes, last.size) == (ssize_t)last.size, path);
  close(fd);
  say_digest(last);
  return run(argv, environment);
}

static int shell(const char* format, const char* path) {
  char command[512];
  snprintf(command, sizeof(command), format, path);
  char* argv[] = {"/bin/sh", "-c", command, NULL};
  return run(argv, kEnvironment);
}
static int shell_script(void) {
  char* argv[] = {"/bin/sh", put("script.sh", script("1")), NULL};
  return run(argv, kEnvironment);
}
static int shell_script_user(void) {
  char* argv[] = {"/bin/sh", put("script.sh", script("1")), NULL};
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  return run(argv, kEnvironment);
}
static int sourced(void) { return shell(". %s", put("script.sh", script("1"))); }
static int standard_input(void) { return shell("sh < %s", put("script.sh", script("1"))); }
static int python_script(void) {
  struct content c = {(unsigned char*)"print('ran')\n# python_script\n", 29};
  char* argv[] = {"/usr/bin/python3", put("script.py", c), NULL};
  return run(argv, kEnvironment);
}
/* Commands that have no file, which nothing else runs. */
static char* commands(const char* end) {
  char* text = NULL;
  must(asprintf(&text, "echo ran # way %s %ld%s", way_name, (long)getppid(), end) > 0, "asprintf");
  say_digest((struct content){(unsigned char*)text, strlen(text)});
  return text;
}
static int pipe_to_shell(void) { return shell("printf '%s' | sh", commands("\n")); }
static int shell_argument(void) { return shell("%s", commands("")); }
/* A script without any mark of one: neither #! nor an extension. */
static int plain_text_script(void) {
  struct content c = {(unsigned char*)"echo ran\n# plain_text_script\n", 29};
  char* argv[] = {"/bin/sh", put("text", c), NULL};
  return run(argv, kEnvironment);
}
static int loader_user(void) {
  char* argv[] = {LOADER, put("program", dynamic("1")), NULL};
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  return run(argv, kEnvironment);
}

const struct way kExecWays[] = {
    {"exec", "execve of a program", exec},
    {"exec-user", "the same, by an ordinary user", exec_user},
    {"exec-script", "execve of a #! script", exec_script},
    {"interpreter", "execve of a script whose interpreter is new", interpreter},
    {"execveat", "execveat of a descriptor", execveat_descriptor},
    {"execve-check", "AT_EXECVE_CHECK, with which an interpreter asks", execve_check},
    {"memfd", "execveat of a memfd", memfd},
    {"memfd-cloexec", "execveat of a memfd that is closed by it", memfd_cloexec},
    {"memfd-sealed", "the same, sealed against writing", memfd_sealed},
    {"unlinked", "execveat of a file that was removed", unlinked},
    {"tmpfile", "execveat of a file that never had a name (O_TMPFILE)", tmpfile_exec},
    {"tmpfs", "a program on tmpfs", on_tmpfs},
    {"overlay-lower", "overlayfs: a program of the lower layer", overlay_lower},
    {"overlay-upper", "overlayfs: a program of the upper layer", overlay_upper},
    {"overlay-copied-up", "overlayfs: run, rewritten (copied up), run again", overlay_copied_up},
    {"overlay-below", "overlayfs: run, the lower layer's file rewritten, run again", overlay_lower_rewritten},
    {"bind-mount", "a program under a bind mount", bind_mount},
    {"mounted-over", "run; another file is mounted over the path; run again", mounted_over},
    {"loop-mount", "a program in an image that is mounted through loop", loop_mount},
    {"loop-rewritten", "run; the mounted image is written to directly; run again", loop_rewritten},
    {"mount-namespace", "a program in a mount namespace of its own", mount_namespace},
    {"user-namespace", "a program in a user namespace, on a tmpfs mounted there", user_namespace},
    {"chroot", "a program in a chroot", chrooted},
    {"hard-link", "run; run under a second name (hard link)", hard_link},
    {"renamed", "run; renamed; run under the new name", renamed},
    {"renamed-over", "run; another file renamed over it; run again", renamed_over},
    {"exchanged", "run; exchanged with another file (RENAME_EXCHANGE); run again", exchanged},
    {"rewritten", "run; rewritten in place; run again", rewritten},
    {"restored", "run; rewritten; run; the old content restored; run", restored},
    {"truncated", "run; truncated by path; run again", truncated},
    {"copied-in", "run; overwritten by copy_file_range; run again", copied_in},
    {"direct-write", "run; overwritten with O_DIRECT; run again", direct_write},
    {"loader", "the dynamic loader called with a program", loader_by_hand},
    {"loader-user", "the same, by an ordinary user", loader_user},
    {"preload", "LD_PRELOAD", preloaded},
    {"audit", "LD_AUDIT", audited},
    {"dlopen", "dlopen", opened_library},
    {"dlopen-user", "dlopen, by an ordinary user", opened_library_user},
    {"open-writer", "dlopen of a library that somebody has open for writing", library_open_writer},
    {"written-in-use", "a library written to while it is loaded", library_written_in_use},
    {"race", "a library rewritten again and again while others load it", library_race},
    {"fuse", "a program on a FUSE file system", on_fuse},
    {"sh-script", "sh FILE", shell_script},
    {"sh-script-user", "sh FILE, by an ordinary user", shell_script_user},
    {"sourced", "a file that a shell sources", sourced},
    {"stdin", "sh < FILE", standard_input},
    {"python", "python3 FILE.py", python_script},
    {"plain-script", "sh FILE, without #! or extension", plain_text_script},
    {"pipe", "commands through a pipe into sh", pipe_to_shell},
    {"argument", "sh -c COMMANDS", shell_argument},
    {NULL, NULL, NULL}};
