/* Ways on which no hook for executable memory is asked: what the kernel makes executable by itself, pages
 * that a program supplies, hardware and the switches of the hooks themselves. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ways.h"

#define PAGE 4096UL
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* younger than Debian 12's headers */
#endif

typedef int (*function)(void);

static int call(void* p) {
  function f;
  memcpy(&f, &p, sizeof(f));
  ran_if(f() == 42);
  usleep(300000); /* what is only told can be looked at while the process is there */
  return 0;
}
static void become_user(void) {
  must(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0, "setresuid");
}

static int implied_heap(void) {
  become_user();
  must(personality(READ_IMPLIES_EXEC) != -1, "personality");
  unsigned char* p = sbrk(3 * PAGE);
  must(p != (void*)-1, "sbrk");
  p = (unsigned char*)(((uintptr_t)p + PAGE - 1) & ~(PAGE - 1));
  struct content c = code("1");
  memcpy(p, c.bytes, 64);
  return call(p);
}

/* The pages of a measured file's mapping are missing, and the program itself supplies them. */
static int supplied_pages(void) {
  mkdir(at("mount"), 0777);
  must(mount("tmpfs", at("mount"), "tmpfs", 0, "mode=777") == 0, "tmpfs");
  struct content measured = code("1");
  measured.bytes[1] = 41;
  const char* path = put("mount/code", measured);
  become_user();
  int fd = open(path, O_RDONLY);
  void* x = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  unsigned char* source = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(x != MAP_FAILED && source != MAP_FAILED, "mmap");
  int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (faults < 0) return unsupported("userfaultfd is refused");
  struct uffdio_api api = {.api = UFFD_API};
  must(ioctl(faults, UFFDIO_API, &api) == 0, "UFFDIO_API");
  struct uffdio_register range = {.range = {(uintptr_t)x, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  must(ioctl(faults, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
  struct content other = code("2");
  memcpy(source, other.bytes, 64);
  struct uffdio_copy copy = {.dst = (uintptr_t)x, .src = (uintptr_t)source, .len = PAGE};
  must(ioctl(faults, UFFDIO_COPY, &copy) == 0, "UFFDIO_COPY");
  return call(x);
}

static const char kRan[4] = {'r', 'a', 'n', '\n'};

/* A program of one segment. Its own code is copied to memory without a file, which its headers ask for, and
 * runs there. */
static int executable_bss(void) {
  static const unsigned char kStart[] = {
      0x48, 0xc7, 0xc6, 0x00, 0x10, 0x40, 0x00, /* mov $0x401000, %rsi: what is copied */
      0x48, 0xc7, 0xc7, 0x00, 0x00, 0x50, 0x00, /* mov $0x500000, %rdi: to the second segment */
      0xb9, 0x00, 0x01, 0x00, 0x00,             /* mov $256, %ecx */
      0xf3, 0xa4,                               /* rep movsb */
      0x48, 0xc7, 0xc0, 0x00, 0x00, 0x50, 0x00, /* mov $0x500000, %rax */
      0xff, 0xe0,                               /* jmp *%rax */
  };
  static const unsigned char kCopied[] = {
      0xb8, 0x01, 0x00, 0x00, 0x00,             /* mov $1, %eax: write */
      0xbf, 0x01, 0x00, 0x00, 0x00,             /* mov $1, %edi */
      0x48, 0xc7, 0xc6, 0x80, 0x00, 0x50, 0x00, /* mov $0x500080, %rsi */
      0xba, 0x04, 0x00, 0x00, 0x00,             /* mov $4, %edx */
      0x0f, 0x05,                               /* syscall */
      0xb8, 0x3c, 0x00, 0x00, 0x00,             /* mov $60, %eax: exit */
      0x31, 0xff, 0x0f, 0x05,                   /* xor %edi, %edi; syscall */
  };
  static struct {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
  } elf = {
      .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                 .e_type = ET_EXEC,
                 .e_machine = EM_X86_64,
                 .e_version = EV_CURRENT,
                 .e_entry = 0x400800,
                 .e_phoff = sizeof(Elf64_Ehdr),
                 .e_ehsize = sizeof(Elf64_Ehdr),
                 .e_phentsize = sizeof(Elf64_Phdr),
                 .e_phnum = 2},
      .segments = {{.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_X,
                    .p_vaddr = 0x400000,
                    .p_filesz = 2 * PAGE,
                    .p_memsz = 2 * PAGE,
                    .p_align = PAGE},
                   {.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_W | PF_X,
                    .p_vaddr = 0x500000,
                    .p_memsz = PAGE,
                    .p_align = PAGE}},
  };
  struct content c = {calloc(2, PAGE), 2 * PAGE};
  memcpy(c.bytes, &elf, sizeof(elf));
  memcpy(c.bytes + 0x800, kStart, sizeof(kStart));
  memcpy(c.bytes + PAGE, kCopied, sizeof(kCopied));
  memcpy(c.bytes + PAGE + 0x80, kRan, sizeof(kRan));
  return run_program(put("program", c));
}

/* A 32-bit program without a header for its stack: all that it may read, it may execute. */
static int stack_of_32_bits(void) {
  static const unsigned char kStart[] = {
      0x8d, 0x64, 0x24, 0x80,       /* lea -128(%esp), %esp */
      0xbe, 0x80, 0x80, 0x04, 0x08, /* mov $0x8048080, %esi: what is copied */
      0x89, 0xe7,                   /* mov %esp, %edi */
      0xb9, 0x40, 0x00, 0x00, 0x00, /* mov $64, %ecx */
      0xf3, 0xa4,                   /* rep movsb */
      0xff, 0xe4,                   /* jmp *%esp */
  };
  static const unsigned char kCopied[] = {
      0xb8, 0x04, 0x00, 0x00, 0x00,             /* mov $4, %eax: write */
      0xbb, 0x01, 0x00, 0x00, 0x00,             /* mov $1, %ebx */
      0xb9, 0xc0, 0x80, 0x04, 0x08,             /* mov $0x80480c0, %ecx */
      0xba, 0x04, 0x00, 0x00, 0x00, 0xcd, 0x80, /* mov $4, %edx; int $0x80 */
      0xb8, 0x01, 0x00, 0x00, 0x00,             /* mov $1, %eax: exit */
      0x31, 0xdb, 0xcd, 0x80,                   /* xor %ebx, %ebx; int $0x80 */
  };
  static struct {
    Elf32_Ehdr header;
    Elf32_Phdr segment;
  } elf = {
      .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                 .e_type = ET_EXEC,
                 .e_machine = EM_386,
                 .e_version = EV_CURRENT,
                 .e_entry = 0x8048100,
                 .e_phoff = sizeof(Elf32_Ehdr),
                 .e_ehsize = sizeof(Elf32_Ehdr),
                 .e_phentsize = sizeof(Elf32_Phdr),
                 .e_phnum = 1},
      .segment = {.p_type = PT_LOAD,
                  .p_flags = PF_R | PF_X,
                  .p_vaddr = 0x8048000,
                  .p_filesz = PAGE,
                  .p_memsz = PAGE,
                  .p_align = PAGE},
  };
  struct content c = {calloc(1, PAGE), PAGE};
  memcpy(c.bytes, &elf, sizeof(elf));
  memcpy(c.bytes + 0x80, kCopied, sizeof(kCopied));
  memcpy(c.bytes + 0xc0, kRan, sizeof(kRan));
  memcpy(c.bytes + 0x100, kStart, sizeof(kStart));
  return run_program(put("program", c));
}

/* What a process calls its program is what /proc and the kernel's own events say of it. */
static int other_identity(void) {
  FILE* f = fopen("/proc/self/stat", "r");
  char text[2048] = {0};
  must(f && fread(text, 1, sizeof(text) - 1, f) > 0, "stat");
  fclose(f);
  unsigned long long fields[64] = {0};
  int n = 3;
  for (char* p = strrchr(text, ')') + 4; n < 52; ++n) fields[n + 1] = strtoull(p, &p, 10);
  struct prctl_mm_map map = {.start_code = fields[26],
                             .end_code = fields[27],
                             .start_data = fields[45],
                             .end_data = fields[46],
                             .start_brk = fields[47],
                             .brk = (uintptr_t)sbrk(0),
                             .start_stack = fields[28],
                             .arg_start = fields[48],
                             .arg_end = fields[49],
                             .env_start = fields[50],
                             .env_end = fields[51],
                             .exe_fd = (uint32_t)-1};
  if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) != 0)
    return unsupported("PR_SET_MM_MAP is refused");
  ran_if(1);
  return 0;
}

static int write_to(const char* path, const char* text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return -1;
  int wrote = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  return wrote ? 0 : -1;
}
/* Hooks of BPF programs hang on ftrace. */
static int hooks_switched_off(void) {
  const char kSwitch[] = "/proc/sys/kernel/ftrace_enabled";
  char* path = put("program", program("1"));
  if (write_to(kSwitch, "0") != 0) return unsupported("kernel.ftrace_enabled can't be written");
  int result = run_program(path);
  must(write_to(kSwitch, "1") == 0, kSwitch);
  return result;
}

static int input_output(void) {
  if (ioperm(0x80, 1, 1) != 0) return unsupported("ioperm is refused");
  outb(0, 0x80); /* where nothing listens */
  ran_if(1);
  return 0;
}
static int all_ports(void) {
  if (iopl(3) != 0) return unsupported("iopl is refused");
  outb(0, 0x80);
  ran_if(1);
  return 0;
}
static int model_register(void) {
  uint64_t value;
  system("modprobe msr");
  int fd = open("/dev/cpu/0/msr", O_RDWR);
  if (fd < 0) return unsupported("the kernel has no /dev/cpu/0/msr");
  const off_t kTscAux = 0xc0000103; /* written with what is in it */
  must(pread(fd, &value, sizeof(value), kTscAux) == sizeof(value), "read");
  ran_if(pwrite(fd, &value, sizeof(value), kTscAux) == sizeof(value));
  close(fd);
  return 0;
}
static int device_memory(void) {
  glob_t found;
  if (glob("/sys/bus/pci/devices/*/resource[0-5]", 0, NULL, &found) != 0)
    return unsupported("no PCI device has memory");
  for (size_t i = 0; i < found.gl_pathc; ++i) {
    int fd = open(found.gl_pathv[i], O_RDWR);
    void* p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED) continue; /* ports, not memory */
    ran_if(1);
    return 0;
  }
  return unsupported("no PCI device's memory can be mapped");
}

const struct way kUnaskedWays[] = {
    {"brk", "personality READ_IMPLIES_EXEC, then brk (user)", implied_heap},
    {"userfault", "pages of a measured mapping supplied by the program (UFFDIO_COPY, user)", supplied_pages},
    {"bss", "a program whose headers ask for executable memory without a file", executable_bss},
    {"stack-32", "a 32-bit program with an executable stack", stack_of_32_bits},
    {"set-mm", "a process changes what its program seems to be (PR_SET_MM)", other_identity},
    {"ftrace-off", "kernel.ftrace_enabled=0; run; =1", hooks_switched_off},
    {"ioperm", "an I/O port (ioperm)", input_output},
    {"iopl", "all I/O ports (iopl)", all_ports},
    {"msr", "a model specific register written (/dev/cpu/0/msr)", model_register},
    {"pci-memory", "a PCI device's memory mapped writable (sysfs resource)", device_memory},
    {NULL, NULL, NULL}};
