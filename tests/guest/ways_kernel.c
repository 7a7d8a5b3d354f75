/* Ways into the kernel, through it, and around its file systems. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kexec.h>
#include <linux/module.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ways.h"

/* Unpacked by the test before the ways run. */
#define MODULE "/var/tmp/ways-module.ko"

static struct content module(const char* step) {
  system("rmmod dummy 2>/dev/null");
  return file_with(MODULE, step);
}
static void module_is_there(void) {
  ran_if(access("/sys/module/dummy", F_OK) == 0);
  system("rmmod dummy 2>/dev/null");
}
static int module_from_file(void) {
  int fd = open(put("module.ko", module("1")), O_RDONLY);
  must(syscall(SYS_finit_module, fd, "", 0) == 0, "finit_module");
  module_is_there();
  return 0;
}
static int module_from_memory(void) {
  struct content c = module("1");
  say_digest(c);
  must(syscall(SYS_init_module, c.bytes, c.size, "") == 0, "init_module");
  module_is_there();
  return 0;
}

static void write_text(const char* path, const char* text) {
  struct content c = {(unsigned char*)text, strlen(text)};
  int fd = open(path, O_WRONLY);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size, path);
  close(fd);
}

/* A helper that the kernel starts leaves a mark, since it has nobody's standard output. */
static const char* helper(void) {
  char* text = NULL;
  must(asprintf(&text, "#!/bin/sh\ntouch %s\n# %ld\n", at("ran"), (long)getpid()) > 0, "asprintf");
  struct content c = {(unsigned char*)text, strlen(text)};
  return put("helper", c);
}
static int helper_ran(void) {
  for (int i = 0; i < 50 && access(at("ran"), F_OK) != 0; ++i) usleep(100000);
  ran_if(access(at("ran"), F_OK) == 0);
  return 0;
}
static int modprobe_helper(void) {
  write_text("/proc/sys/kernel/modprobe", helper());
  socket(AF_PPPOX, SOCK_STREAM, 0); /* a protocol that is not there: the kernel asks for its module */
  write_text("/proc/sys/kernel/modprobe", "/sbin/modprobe");
  return helper_ran();
}
static int core_helper(void) {
  char pattern[256];
  snprintf(pattern, sizeof(pattern), "|%s", helper());
  write_text("/proc/sys/kernel/core_pattern", pattern);
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &unlimited);
    abort();
  }
  waitpid(pid, NULL, 0);
  write_text("/proc/sys/kernel/core_pattern", "core");
  return helper_ran();
}
static int binfmt(void) {
  must(system("modprobe binfmt_misc && { mountpoint -q /proc/sys/fs/binfmt_misc || "
              "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; }") == 0,
       "binfmt_misc");
  char rule[256];
  snprintf(rule, sizeof(rule), ":way:M::WAYFILE::%s:", put("interpreter", program("1")));
  write_text("/proc/sys/fs/binfmt_misc/register", rule);
  struct content c = {(unsigned char*)"WAYFILE\n", 8};
  int result = run_program(put("file", c));
  write_text("/proc/sys/fs/binfmt_misc/way", "-1");
  return result;
}

static int bpf_program(void) {
  struct bpf_insn instructions[] = {{.code = 0xb7, .imm = (int)getpid()},
                                    {.code = 0x95}}; /* r0 = pid; exit */
  struct content c = {(unsigned char*)instructions, sizeof(instructions)};
  say_digest(c);
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = (uint64_t)(uintptr_t)instructions;
  attr.insn_cnt = 2;
  attr.license = (uint64_t)(uintptr_t)"GPL";
  memcpy(attr.prog_name, "way", 3);
  must(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) >= 0, "BPF_PROG_LOAD");
  puts("ran");
  return 0;
}

/* Not started, only loaded: that is when it would have to be measured. An image of nothing but a mark is
 * refused by the kernel after it has read it. */
static int kexec_file(void) {
  struct content c = program("1");
  int fd = open(put("image", c), O_RDONLY);
  long r = syscall(SYS_kexec_file_load, fd, -1, 1UL, "", KEXEC_FILE_NO_INITRAMFS);
  if (r != 0 && errno == ENOSYS) return unsupported("kexec_file_load");
  puts("ran");
  return 0;
}
static int kexec_memory(void) {
  static unsigned char image[4096];
  struct kexec_segment segment = {
      .buf = image, .bufsz = sizeof(image), .mem = (void*)0x1000000, .memsz = 4096};
  must(syscall(SYS_kexec_load, 0x1000000UL, 1UL, &segment, KEXEC_ARCH_DEFAULT) == 0, "kexec_load");
  ran_if(1);
  syscall(SYS_kexec_load, 0UL, 0UL, NULL, KEXEC_ARCH_DEFAULT);
  return 0;
}

/* A disk that the test gives us, whose block is rewritten through the device while it is mounted. */
#define DISK "/dev/disk/disk0"
static int raw_device(void) {
  char command[1024];
  struct content first = program("1");
  if (access(DISK, F_OK) != 0) return unsupported("the guest has no " DISK);
  snprintf(command, sizeof(command),
           "mkfs.ext4 -q " DISK " && mkdir -p %1$s/mount && mount " DISK " %1$s/mount", at(""));
  must(system(command) == 0, "mounting the disk");
  const char* path = put("mount/program", first);
  sync();
  run_program(path);
  drop_caches();
  rewrite_below(DISK, first, program("2"));
  drop_caches();
  return run_program(path);
}
/* The device that is mounted is a partition: not a loop device by its number. */
static int loop_partition(void) {
  struct content first = program("1");
  must(mkdir(at("tree"), 0755) == 0, "mkdir");
  write_file(at("tree/program"), first);
  say_digest(first);
  must(chmod(at("tree/program"), 0755) == 0, "chmod");
  char command[1024];
  snprintf(command, sizeof(command),
           "modprobe loop; cd %s && truncate -s 16M image && mke2fs -q -t ext4 -E offset=1048576 -d tree "
           "image 14m && "
           "python3 -c \"import struct; d=open('image','r+b'); d.seek(446); "
           "d.write(struct.pack('<B3xB3xII',0,0x83,2048,28672)"
           "+bytes(48)+bytes((0x55,0xaa)))\" && mkdir mount && "
           "d=$(losetup -r -P -f --show image) && sleep 1 && mount -o ro,noload ${d}p1 mount",
           at(""));
  if (system(command) != 0) return unsupported("no partition of a loop device");
  const char* path = at("mount/program");
  run_program(path);
  rewrite_below(at("image"), first, program("2"));
  int fd = open(path, O_RDONLY);
  must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
  close(fd);
  return run_program(path);
}
static int kernel_memory(void) {
  int fd = open("/dev/mem", O_RDWR);
  if (fd < 0) return unsupported("/dev/mem can't be opened");
  ran_if(1);
  close(fd);
  return 0;
}

/* io_uring opens for writing what was measured. */
static int uring(void) {
  const char* path = put("program", program("1"));
  run_program(path);
  struct uring ring;
  if (!uring_setup(&ring)) return unsupported("io_uring_setup is refused");
  struct io_uring_sqe e = {.opcode = IORING_OP_OPENAT,
                           .fd = AT_FDCWD,
                           .addr = (uint64_t)(uintptr_t)path,
                           .open_flags = O_WRONLY | O_TRUNC};
  int fd = uring_do(&ring, &e);
  struct content c = program("2");
  say_digest(c);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size, "IORING_OP_OPENAT");
  close(fd);
  return run_program(path);
}

const struct way kKernelWays[] = {
    {"module", "a kernel module from a file (finit_module)", module_from_file},
    {"module-memory", "a kernel module from memory (init_module)", module_from_memory},
    {"modprobe-helper", "the program in kernel.modprobe", modprobe_helper},
    {"core-helper", "the program in kernel.core_pattern", core_helper},
    {"binfmt-misc", "an interpreter registered with binfmt_misc", binfmt},
    {"bpf", "a BPF program", bpf_program},
    {"kexec-file", "kexec_file_load", kexec_file},
    {"kexec-load", "kexec_load", kexec_memory},
    {"raw-device", "run; its block is rewritten on the device; run again", raw_device},
    {"loop-partition", "run; the image under a partition of a loop device is rewritten; run again",
     loop_partition},
    {"dev-mem", "/dev/mem opened for writing", kernel_memory},
    {"io-uring", "run; opened for writing by io_uring and rewritten; run again", uring},
    {NULL, NULL, NULL}};
