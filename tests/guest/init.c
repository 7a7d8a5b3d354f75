// PID 1 of a test guest: finds the root disk, mounts what a Linux system has, and then runs the commands that
// the host sends over a virtio-serial port. A static C program, because in an emulated machine each process a
// boot script starts costs 20 ms, and because output, exit codes and kills need one place that cannot hang.
//
// Frames, both ways: u8 type, u32 length (little endian), payload. Strings in a payload each end with a NUL.
//   host -> guest   M serial path options     mount the ext4 disk with this serial number
//                   R flags argv...           run; flags: "k" keeps what the command leaves running
//                   K                         say what the job's tasks wait for, then kill them
//                   P                         power off
//   guest -> host   H release uptime          ready
//                   O, E bytes                the command's output
//                   D text                    diagnostics: what was about to be killed, or what went wrong in
//                   here X status                  the job has ended: its exit code, or 128 + signal
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxFrame = 1 << 20, kMaxArgs = 4096, kIdleMs = 200 };
static const char kJob[] = "/sys/fs/cgroup/job";

static int port = -1;
static int signals = -1;

static void Fatal(const char* format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "assay-init: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, ": %s\n", strerror(errno));
  va_end(args);
  sync();
  reboot(RB_POWER_OFF);
  _exit(1);
}

static long NowMs(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void SleepMs(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

static int ReadText(const char* path, char* out, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, out, size - 1);
  close(fd);
  if (n < 0) return -1;
  while (n > 0 && out[n - 1] == '\n') --n;
  out[n] = 0;
  return 0;
}

static int WriteText(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = write(fd, text, strlen(text));
  close(fd);
  return n < 0 ? -1 : 0;
}

static void MakeDirs(const char* path) {
  char copy[512];
  snprintf(copy, sizeof copy, "%s", path);
  for (char* p = copy + 1; *p; ++p) {
    if (*p != '/') continue;
    *p = 0;
    mkdir(copy, 0755);
    *p = '/';
  }
  mkdir(copy, 0755);
}

// ---- frames

static void WriteAll(const void* data, size_t size) {
  const char* p = data;
  while (size > 0) {
    ssize_t n = write(port, p, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Fatal("write to the host");
    p += n;
    size -= n;
  }
}

static void Send(char type, const void* data, uint32_t size) {
  unsigned char head[5] = {type, size & 255, size >> 8 & 255, size >> 16 & 255, size >> 24};
  WriteAll(head, sizeof head);
  WriteAll(data, size);
}

static void Say(char type, const char* format, ...) {
  char text[4096];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  Send(type, text, n < (int)sizeof text ? n : (int)sizeof text - 1);
}

static void ReadAll(void* data, size_t size) {
  char* p = data;
  while (size > 0) {
    ssize_t n = read(port, p, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) Fatal("read from the host");
    if (n == 0) SleepMs(5);  // the host's end is not open yet
    p += n;
    size -= n;
  }
}

static char* ReadFrame(char* type, uint32_t* size) {
  static char frame[kMaxFrame + 1];
  unsigned char head[5];
  ReadAll(head, sizeof head);
  *type = head[0];
  *size = head[1] | head[2] << 8 | head[3] << 16 | (uint32_t)head[4] << 24;
  if (*size > kMaxFrame) {
    errno = EMSGSIZE;
    Fatal("frame of %u bytes", *size);
  }
  ReadAll(frame, *size);
  frame[*size] = 0;
  return frame;
}

// The next string of a payload, or "" at its end.
static const char* Next(const char** at, const char* end) {
  if (*at >= end) return "";
  const char* s = *at;
  *at += strlen(s) + 1;
  return s;
}

// ---- coming up

static void LoadModules(void) {
  FILE* list = fopen("/modules/list", "re");
  char name[256];
  char path[300];
  if (list == NULL) return;  // a kernel that has all drivers built in
  while (fscanf(list, "%255s", name) == 1) {
    snprintf(path, sizeof path, "/modules/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) Fatal("module %s", name);
    close(fd);
  }
  fclose(list);
}

// Waits for an entry of a sysfs class whose attribute has this value; its name goes to out.
static int FindDevice(const char* class, const char* attribute, const char* value, char* out, size_t size) {
  for (long until = NowMs() + 10000; NowMs() < until; SleepMs(5)) {
    DIR* dir = opendir(class);
    struct dirent* entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
      char path[600];
      char text[256];
      snprintf(path, sizeof path, "%s/%s/%s", class, entry->d_name, attribute);
      if (entry->d_name[0] == '.' || ReadText(path, text, sizeof text) != 0 || strcmp(text, value) != 0)
        continue;
      snprintf(out, size, "%s", entry->d_name);
      closedir(dir);
      return 0;
    }
    if (dir != NULL) closedir(dir);
  }
  errno = ENODEV;
  return -1;
}

static int MountDisk(const char* serial, const char* path, const char* options) {
  char name[256];
  char device[300];
  if (FindDevice("/sys/block", "serial", serial, name, sizeof name) != 0) return -1;
  snprintf(device, sizeof device, "/dev/%s", name);
  MakeDirs(path);
  unsigned long flags = strncmp(options, "ro", 2) == 0 ? MS_RDONLY : 0;
  return mount(device, path, "ext4", flags, "");
}

static void MountOrSay(const char* type, const char* path, unsigned long flags, const char* options) {
  MakeDirs(path);
  if (mount(type, path, type, flags, options) != 0 && errno != EBUSY)
    fprintf(stderr, "assay-init: %s on %s: %s\n", type, path, strerror(errno));
}

// Symbolic links /dev/disk/SERIAL, so that a test names its disks.
static void LinkDisks(void) {
  mkdir("/dev/disk", 0755);
  DIR* dir = opendir("/sys/block");
  struct dirent* entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    char path[600];
    char serial[64];
    char target[300];
    snprintf(path, sizeof path, "/sys/block/%s/serial", entry->d_name);
    if (ReadText(path, serial, sizeof serial) != 0 || serial[0] == 0) continue;
    snprintf(path, sizeof path, "/dev/disk/%s", serial);
    snprintf(target, sizeof target, "../%s", entry->d_name);
    if (symlink(target, path) != 0) continue;
  }
  if (dir != NULL) closedir(dir);
}

static void BringUp(void) {
  MountOrSay("devtmpfs", "/dev", MS_NOSUID, "");
  int console = open("/dev/console", O_RDWR | O_NOCTTY);
  if (console >= 0) {
    for (int fd = 0; fd < 3; ++fd) dup2(console, fd);
    if (console > 2) close(console);
  }
  MountOrSay("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  MountOrSay("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  LoadModules();
  if (MountDisk("root", "/root-disk", "rw") != 0) Fatal("the root disk");
  // The moved mounts keep their devices; the initramfs stays below, with nothing but this program in it.
  if (mount("/dev", "/root-disk/dev", NULL, MS_MOVE, NULL) != 0 ||
      mount("/proc", "/root-disk/proc", NULL, MS_MOVE, NULL) != 0 ||
      mount("/sys", "/root-disk/sys", NULL, MS_MOVE, NULL) != 0 || chdir("/root-disk") != 0 ||
      mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
    Fatal("change to the root disk");
  MountOrSay("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666");
  MountOrSay("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "");
  MountOrSay("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
  MountOrSay("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
  MountOrSay("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  MountOrSay("securityfs", "/sys/kernel/security", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  MountOrSay("bpf", "/sys/fs/bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700");
  MountOrSay("tracefs", "/sys/kernel/tracing", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
  if (symlink("/proc/self/fd", "/dev/fd") != 0 || symlink("/proc/self/fd/0", "/dev/stdin") != 0 ||
      symlink("/proc/self/fd/1", "/dev/stdout") != 0 || symlink("/proc/self/fd/2", "/dev/stderr") != 0)
    fprintf(stderr, "assay-init: links in /dev: %s\n", strerror(errno));
  LinkDisks();
  if (sethostname("guest", 5) != 0) fprintf(stderr, "assay-init: host name: %s\n", strerror(errno));
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &lo) != 0)
    fprintf(stderr, "assay-init: lo: %s\n", strerror(errno));
  if (sock >= 0) close(sock);
}

// ---- jobs

struct Job {
  pid_t pid;   // 0: none
  int keep;    // leave what it started running
  int out[2];  // our ends of its stdout and stderr, -1 when closed
  int status;
  int ended;   // the command itself has ended; its output may be still to come
  int killed;  // what it left behind has been killed
  long since;  // of the end or of the last output
};

static void KillJob(void) {
  char path[64];
  snprintf(path, sizeof path, "%s/cgroup.kill", kJob);
  WriteText(path, "1");
}

// What the job's tasks wait for: for the reader of a hung test.
static void Describe(void) {
  char path[64];
  snprintf(path, sizeof path, "%s/cgroup.procs", kJob);
  FILE* procs = fopen(path, "re");
  int pid;
  while (procs != NULL && fscanf(procs, "%d", &pid) == 1) {
    char name[400];
    char dir[64];
    snprintf(dir, sizeof dir, "/proc/%d/task", pid);
    DIR* tasks = opendir(dir);
    struct dirent* task;
    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
      char comm[64] = "?";
      char wchan[128] = "?";
      char stack[2048] = "";
      if (task->d_name[0] == '.') continue;
      snprintf(name, sizeof name, "%s/%s/comm", dir, task->d_name);
      ReadText(name, comm, sizeof comm);
      snprintf(name, sizeof name, "%s/%s/wchan", dir, task->d_name);
      ReadText(name, wchan, sizeof wchan);
      snprintf(name, sizeof name, "%s/%s/stack", dir, task->d_name);
      ReadText(name, stack, sizeof stack);
      Say('D', "task %s of %d (%s) waits in %s\n%s\n", task->d_name, pid, comm, wchan, stack);
    }
    if (tasks != NULL) closedir(tasks);
  }
  if (procs != NULL) fclose(procs);
}

static void Start(struct Job* job, const char* at, const char* end) {
  static char* argv[kMaxArgs + 1];
  int count = 0;
  int out[2];
  int err[2];
  const char* flags = Next(&at, end);
  while (at < end && count < kMaxArgs) argv[count++] = (char*)Next(&at, end);
  argv[count] = NULL;
  // Tasks that outlived their group's kill keep the folder; they stay in it, and the next job joins them.
  rmdir(kJob);
  mkdir(kJob, 0755);
  if (count == 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) Fatal("start a job");
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  *job = (struct Job){.keep = strchr(flags, 'k') != NULL, .out = {out[0], err[0]}};
  job->pid = fork();
  if (job->pid < 0) Fatal("fork");
  if (job->pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    if (null > 2) close(null);
    char path[64];
    snprintf(path, sizeof path, "%s/cgroup.procs", kJob);
    if (!job->keep) WriteText(path, "0");
    execvp(argv[0], argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
  }
  close(out[1]);
  close(err[1]);
}

static void Pump(struct Job* job, int which) {
  static char data[65536];
  ssize_t n = read(job->out[which], data, sizeof data);
  if (n > 0) {
    Send(which == 0 ? 'O' : 'E', data, n);
    job->since = NowMs();
  } else if (n == 0 || errno != EAGAIN) {
    close(job->out[which]);
    job->out[which] = -1;
  }
}

static void Reap(struct Job* job) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) > 0) {
  }
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != job->pid) continue;
    job->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    job->ended = 1;
    job->since = NowMs();
  }
}

static void Finish(struct Job* job) {
  for (int i = 0; i < 2; ++i)
    if (job->out[i] >= 0) close(job->out[i]);
  Say('X', "%d", job->status);
  job->pid = 0;
}

static void Command(struct Job* job) {
  char type;
  uint32_t size;
  const char* at = ReadFrame(&type, &size);
  const char* end = at + size;
  switch (type) {
    case 'M': {
      const char* serial = Next(&at, end);
      const char* path = Next(&at, end);
      if (MountDisk(serial, path, Next(&at, end)) != 0)
        Say('D', "disk %s on %s: %s\n", serial, path, strerror(errno));
      return;
    }
    case 'R':
      if (job->pid == 0) Start(job, at, end);
      return;
    case 'K':
      Describe();
      KillJob();
      if (job->pid != 0) kill(job->pid, SIGKILL);
      return;
    case 'P':
      sync();
      reboot(RB_POWER_OFF);
      return;
    default:
      Say('D', "unknown frame %d\n", type);
  }
}

// "agent": on a machine that another init has brought up, only takes commands.
int main(int argc, char** argv) {
  if (argc < 2 || strcmp(argv[1], "agent") != 0) BringUp();
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  char name[256];
  char path[300];
  if (FindDevice("/sys/class/virtio-ports", "name", "assay", name, sizeof name) != 0)
    Fatal("the port to the host");
  snprintf(path, sizeof path, "/dev/%s", name);
  port = open(path, O_RDWR | O_CLOEXEC);
  if (port < 0) Fatal("%s", path);
  clearenv();
  setenv("PATH", "/files/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  setenv("HOME", "/root", 1);
  setenv("TERM", "dumb", 1);
  setenv("LANG", "C.UTF-8", 1);
  struct utsname system;
  uname(&system);
  char uptime[64] = "?";
  ReadText("/proc/uptime", uptime, sizeof uptime);
  char hello[256];
  int n = snprintf(hello, sizeof hello, "%s%c%s", system.release, 0, uptime);
  Send('H', hello, n + 1);

  struct Job job = {.out = {-1, -1}};
  for (;;) {
    struct pollfd fds[4] = {{.fd = port, .events = POLLIN},
                            {.fd = signals, .events = POLLIN},
                            {.fd = job.pid != 0 ? job.out[0] : -1, .events = POLLIN},
                            {.fd = job.pid != 0 ? job.out[1] : -1, .events = POLLIN}};
    int ready = poll(fds, 4, job.pid != 0 && job.ended ? 20 : -1);
    if (ready < 0 && errno != EINTR) Fatal("poll");
    if (ready > 0) {
      if (fds[1].revents != 0) Reap(&job);
      for (int i = 0; i < 2; ++i)
        if (fds[2 + i].revents != 0) Pump(&job, i);
      if (fds[0].revents & POLLIN)
        Command(&job);
      else if (fds[0].revents != 0)
        SleepMs(5);
    }
    if (job.pid == 0 || !job.ended) continue;
    // The command has ended. What it left running may hold the pipes: after a short silence it is killed or
    // left.
    int open_pipes = job.out[0] >= 0 || job.out[1] >= 0;
    int idle = NowMs() - job.since > kIdleMs;
    if (!job.killed && !job.keep && (!open_pipes || idle)) {
      KillJob();
      job.killed = 1;
      job.since = NowMs();
    } else if (!open_pipes || idle) {
      Finish(&job);
    }
  }
}
