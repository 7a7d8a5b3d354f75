/* Ways by memory: mappings made executable, code written into a process, one's own or another's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ways.h"

#define PAGE 4096UL

typedef int (*function)(void);

static int call(void* p) {
  function f;
  memcpy(&f, &p, sizeof(f));
  ran_if(f() == 42);
  usleep(300000); /* what is only told can be looked at while the mapping is there */
  return 0;
}

static int open_code(int flags) {
  int fd = open(put("code", code("1")), flags);
  must(fd >= 0, "open");
  return fd;
}
static void* map(int fd, int protection, int flags) {
  void* p = mmap(NULL, PAGE, protection, flags, fd, 0);
  must(p != MAP_FAILED, "mmap");
  return p;
}

static int mapped(void) { return call(map(open_code(O_RDONLY), PROT_READ | PROT_EXEC, MAP_PRIVATE)); }
static int mapped_user(void) {
  const char* path = put("code", code("1"));
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  return call(map(open(path, O_RDONLY), PROT_READ | PROT_EXEC, MAP_PRIVATE));
}
static int mapped_then_protected(void) {
  void* p = map(open_code(O_RDONLY), PROT_READ, MAP_PRIVATE);
  must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
static int mapped_then_protected_user(void) {
  const char* path = put("code", code("1"));
  must(setresuid(1000, 1000, 1000) == 0, "setresuid");
  void* p = map(open(path, O_RDONLY), PROT_READ, MAP_PRIVATE);
  must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
static int implied(void) {
  must(personality(READ_IMPLIES_EXEC) != -1, "personality");
  return call(map(open_code(O_RDONLY), PROT_READ, MAP_PRIVATE));
}
static int private_copy_patched(void) {
  unsigned char* p = map(open_code(O_RDONLY), PROT_READ | PROT_WRITE, MAP_PRIVATE);
  p[100] = 1;
  must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
/* Measured code, unprotected, patched, protected again. */
static int measured_then_patched(void) {
  unsigned char* p = map(open_code(O_RDONLY), PROT_READ | PROT_EXEC, MAP_PRIVATE);
  must(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
  p[100] = 1;
  must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
static int writable_executable_file(void) {
  return call(map(open_code(O_RDONLY), PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE));
}
static void fill(void* p) {
  struct content c = code("1");
  memcpy(p, c.bytes, 64);
}
static int writable_executable(void) {
  void* p = map(-1, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  fill(p);
  return call(p);
}
static int anonymous_then_protected(void) {
  void* p = map(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  fill(p);
  must(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
static int heap(void) {
  void* p = sbrk(3 * PAGE);
  p = (void*)(((uintptr_t)p + PAGE - 1) & ~(PAGE - 1));
  fill(p);
  must(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
static int stack(void) {
  unsigned char room[3 * PAGE];
  void* p = (void*)(((uintptr_t)room + PAGE - 1) & ~(PAGE - 1));
  fill(p);
  must(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0, "mprotect");
  return call(p);
}
/* The program's own headers ask for it: the kernel sets it up without any hook. */
static int executable_stack_program(void) {
  struct content c = program("1");
  /* Program headers of ELF64: type at 0, flags at 4, 56 bytes each. PT_GNU_STACK is 0x6474e551. */
  uint64_t offset;
  uint16_t count;
  memcpy(&offset, c.bytes + 32, 8);
  memcpy(&count, c.bytes + 56, 2);
  for (unsigned i = 0; i < count; ++i) {
    uint32_t type, flags = 7;
    memcpy(&type, c.bytes + offset + 56 * i, 4);
    if (type == 0x6474e551) memcpy(c.bytes + offset + 56 * i + 4, &flags, 4);
  }
  return run_program(put("program", c));
}
static int shared_writable(void) {
  int fd = open_code(O_RDWR);
  unsigned char* w = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  void* x = map(open(at("code"), O_RDONLY), PROT_READ | PROT_EXEC, MAP_PRIVATE);
  w[100] = 1;
  return call(x);
}
static int shared_writable_executable(void) {
  int fd = open_code(O_RDWR);
  return call(map(fd, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED));
}
static int memfd_mapped(void) {
  struct content c = code("1");
  int fd = memfd_create("way", 0);
  must(fd >= 0 && write(fd, c.bytes, c.size) == (ssize_t)c.size, "memfd");
  say_digest(c);
  return call(map(fd, PROT_READ | PROT_EXEC, MAP_PRIVATE));
}
static int memfd_two_views(void) {
  struct content c = code("1");
  int fd = memfd_create("way", 0);
  must(fd >= 0 && ftruncate(fd, PAGE) == 0, "memfd");
  unsigned char* w = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  void* x = map(fd, PROT_READ | PROT_EXEC, MAP_SHARED);
  memcpy(w, c.bytes, 64);
  return call(x);
}
static int sysv(void) {
  int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700);
  must(id >= 0, "shmget");
  unsigned char* w = shmat(id, NULL, 0);
  must(w != (void*)-1, "shmat");
  fill(w);
  void* x = shmat(id, NULL, SHM_EXEC | SHM_RDONLY);
  must(x != (void*)-1, "shmat");
  shmctl(id, IPC_RMID, NULL);
  return call(x);
}

/* The target of what follows: a child that waits and then calls one of its own functions. */
__attribute__((noinline, aligned(64))) static int answer(void) {
  __asm__ volatile("nop; nop; nop; nop; nop; nop; nop; nop");
  return 1;
}
static pid_t target(int traced) {
  fflush(NULL);
  pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    if (traced) {
      ptrace(PTRACE_TRACEME, 0, NULL, NULL);
      raise(SIGSTOP);
    } else {
      sleep(1);
    }
    volatile function f = answer;
    ran_if(f() == 42);
    _exit(0);
  }
  return pid;
}
static const unsigned char kReturn42[8] = {0xb8, 42, 0, 0, 0, 0xc3, 0x90, 0x90};

static int write_memory(pid_t pid) {
  char path[64];
  snprintf(path, sizeof(path), pid ? "/proc/%d/mem" : "/proc/self/mem", pid);
  int fd = open(path, O_RDWR);
  must(fd >= 0, path);
  ssize_t wrote = pwrite(fd, kReturn42, sizeof(kReturn42), (off_t)(uintptr_t)answer);
  int error = errno;
  close(fd);
  if (wrote < 0 && error == EIO) return unsupported("refused by the kernel: CONFIG_PROC_MEM_FORCE_PTRACE");
  must(wrote == sizeof(kReturn42), "pwrite");
  return 0;
}
static int own_memory_file(void) {
  int result = write_memory(0);
  if (result != 0) return result;
  volatile function f = answer;
  ran_if(f() == 42);
  return 0;
}
static int other_memory_file(void) {
  pid_t pid = target(0);
  int result = write_memory(pid);
  waitpid(pid, NULL, 0);
  return result;
}
static int poke(pid_t pid) {
  long word;
  memcpy(&word, kReturn42, sizeof(word));
  must(ptrace(PTRACE_POKETEXT, pid, (void*)(uintptr_t)answer, (void*)word) == 0, "PTRACE_POKETEXT");
  must(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0, "PTRACE_DETACH");
  waitpid(pid, NULL, 0);
  return 0;
}
static int traced_child(void) {
  pid_t pid = target(1);
  waitpid(pid, NULL, WUNTRACED);
  return poke(pid);
}
static int attached(void) {
  pid_t pid = target(0);
  must(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0, "PTRACE_ATTACH");
  waitpid(pid, NULL, WUNTRACED);
  return poke(pid);
}
static unsigned char* shared_slot;
static int process_vm(void) {
  /* It writes where the target may write: an executable page of its own, made so before. */
  shared_slot = map(-1, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    sleep(1);
    call(shared_slot);
    _exit(0);
  }
  struct iovec local = {(void*)kReturn42, sizeof(kReturn42)}, remote = {shared_slot, sizeof(kReturn42)};
  must(process_vm_writev(pid, &local, 1, &remote, 1, 0) == sizeof(kReturn42), "process_vm_writev");
  waitpid(pid, NULL, 0);
  return 0;
}

const struct way kMemoryWays[] = {
    {"mmap", "a file mapped executable", mapped},
    {"mmap-user", "the same, by an ordinary user", mapped_user},
    {"mprotect", "a file mapped readable, then made executable", mapped_then_protected},
    {"mprotect-user", "the same, by an ordinary user", mapped_then_protected_user},
    {"read-implies-exec", "personality READ_IMPLIES_EXEC", implied},
    {"private-copy", "a private mapping, patched and made executable", private_copy_patched},
    {"patched", "a measured mapping, patched and made executable again", measured_then_patched},
    {"file-w-x", "a file mapped writable and executable", writable_executable_file},
    {"w-x", "anonymous memory, writable and executable", writable_executable},
    {"anonymous", "anonymous memory, written, then made executable", anonymous_then_protected},
    {"heap", "the heap made executable", heap},
    {"stack", "the stack made executable", stack},
    {"execstack", "a program whose headers ask for an executable stack", executable_stack_program},
    {"shared-writable", "a file executed while mapped shared and writable", shared_writable},
    {"shared-w-x", "a file mapped shared, writable and executable", shared_writable_executable},
    {"memfd-mmap", "a memfd mapped executable", memfd_mapped},
    {"memfd-views", "a memfd mapped twice: writable and executable", memfd_two_views},
    {"sysv", "SysV shared memory attached executable", sysv},
    {"own-mem", "code written through /proc/self/mem", own_memory_file},
    {"proc-mem", "code written through /proc/PID/mem", other_memory_file},
    {"traceme", "code written into a traced child (PTRACE_POKETEXT)", traced_child},
    {"ptrace", "code written into an attached process", attached},
    {"process-vm", "code written with process_vm_writev", process_vm},
    {NULL, NULL, NULL}};
