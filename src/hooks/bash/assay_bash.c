/* A loadable builtin of bash (`enable -f assay.so assay`), which has the code measured that bash reads,
 * before it acts. docs/interpreters.md says what it covers.
 *
 *   assay start       at start-up, from BASH_ENV or a start-up file: measures the text after -c, functions
 * from the
 *                     environment, and commands from a pipe or a file at standard input
 *   assay start nostdin    the same, but for standard input
 *   assay eval on     measures the text of each `eval`, too; `off` ends that. ASSAY_EVAL=1 does it from the
 * start
 *
 * Files: bash opens each script, sourced file and start-up file by one of two calls of open(). The builtin
 * puts a function of its own into the table through which bash calls it. For these two calls the function has
 * the content measured, and gives bash a sealed copy where somebody else than root could write to the file.
 * So names, arguments and errors are bash's own, and what was measured is what bash reads. Other opens
 * (redirections, history) are as they were. The calls are found when the builtin is loaded, not by their
 * address: by the opening of an empty file, and by the name of the script. */
#include <assay.h>
#include <config.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* In this order. */
/* clang-format off */
#include "shell.h"
#include "builtins.h"
#include "builtins/common.h"
/* clang-format on */

#define REFUSED 126
#define EMPTY "/dev/null"

/* Of bash's shell.c and evalfile.c; no header of its package has them all. */
extern char* command_execution_string;
extern char* shell_script_filename;
extern int default_buffered_input;
extern int interactive_shell;
extern int maybe_execute_file(const char* name, int force_noninteractive);
extern void exit_shell(int status);

typedef int open_function(const char* path, int flags, ...);
static open_function* bash_open;
static void** bash_open_slot;
static const void* sourcing; /* the place in bash that opens what is sourced */
static int looking_for_sourcing, script_pending, required;
static sh_builtin_func_t* bash_eval;

/* Says why content must not be used. What can't be measured is used all the same, unless ASSAY_REQUIRED says
 * no. */
static int stops(const char* what, int result) {
  if (result == ASSAY_REFUSED || result == -EACCES)
    fprintf(stderr, "assay: %s: the owner of this machine refuses it\n", what);
  else if (result < 0 && required)
    fprintf(stderr, "assay: %s: it can't be measured: %s\n", what, strerror(-result));
  else
    return 0;
  return 1;
}

static int measure_text(const char* kind, const char* text) {
  return !stops(kind, assay_verdict_buffer(kind, text, strlen(text), 0));
}

/* ---- Files */

static int is_script(const char* path) {
  const char* slash;
  if (!script_pending || shell_script_filename == NULL) return 0;
  if (strcmp(path, shell_script_filename) == 0) return 1;
  slash = strrchr(path, '/'); /* bash has found it by PATH */
  return slash != NULL && strcmp(slash + 1, shell_script_filename) == 0;
}

static int open_code(const char* path) {
  struct stat st;
  int fd;
  if (stat(path, &st) != 0 || S_ISDIR(st.st_mode) || access(path, R_OK) != 0)
    return bash_open(path, O_RDONLY); /* bash says best what is wrong */
  fd = assay_open_measured(path, 0);
  if (fd >= 0) return fd;
  if (!stops(path, fd)) return bash_open(path, O_RDONLY);
  errno = EACCES;
  return -1;
}

static int opens(const char* path, int flags, ...) {
  const void* const from = __builtin_return_address(0);
  va_list arguments;
  int mode;
  if (looking_for_sourcing && strcmp(path, EMPTY) == 0) sourcing = from;
  if ((flags & O_ACCMODE) == O_RDONLY && (flags & O_CREAT) == 0 && !looking_for_sourcing) {
    if (is_script(path)) {
      const int fd = open_code(path);
      if (fd >= 0) script_pending = 0;
      return fd;
    }
    if (from == sourcing) return open_code(path);
  }
  va_start(arguments, flags);
  mode = va_arg(arguments, int);
  va_end(arguments);
  return bash_open(path, flags, mode);
}

/* Finds the slot of open() in the program's own table. */
static int find_slot(struct dl_phdr_info* info, size_t size, void* found) {
  const ElfW(Dyn)* entry = NULL;
  const ElfW(Rela)* table = NULL;
  const ElfW(Sym)* symbols = NULL;
  const char* names = NULL;
  size_t bytes = 0;
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; ++i)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      entry = (const ElfW(Dyn)*)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  for (; entry != NULL && entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_JMPREL) table = (const ElfW(Rela)*)entry->d_un.d_ptr;
    if (entry->d_tag == DT_PLTRELSZ) bytes = entry->d_un.d_val;
    if (entry->d_tag == DT_SYMTAB) symbols = (const ElfW(Sym)*)entry->d_un.d_ptr;
    if (entry->d_tag == DT_STRTAB) names = (const char*)entry->d_un.d_ptr;
  }
  for (size_t i = 0; table != NULL && symbols != NULL && names != NULL && i < bytes / sizeof(*table); ++i) {
    const char* const name = names + symbols[ELF64_R_SYM(table[i].r_info)].st_name;
    if (strcmp(name, "open") == 0 || strcmp(name, "open64") == 0)
      *(void***)found = (void**)(info->dlpi_addr + table[i].r_offset);
  }
  return 1; /* the first one is the program */
}

/* The table is read-only after the start of a program that is linked for it. */
static int put(void** slot, void* value) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void* const from = (void*)((uintptr_t)slot & ~(page - 1));
  if (mprotect(from, page, PROT_READ | PROT_WRITE) != 0) return -1;
  *slot = value;
  return mprotect(from, page, PROT_READ);
}

static void give_back(void) {
  if (bash_open_slot != NULL && put(bash_open_slot, (void*)bash_open) == 0) bash_open_slot = NULL;
}

static int take_opens(void) {
  if (bash_open_slot != NULL) return 1;
  if (sizeof(void*) != 8) return 0;
  dl_iterate_phdr(find_slot, &bash_open_slot);
  if (bash_open_slot == NULL) return 0;
  bash_open = (open_function*)*bash_open_slot;
  if (put(bash_open_slot, (void*)opens) != 0) {
    bash_open_slot = NULL;
    return 0;
  }
  looking_for_sourcing = 1;
  maybe_execute_file(EMPTY, 0);
  looking_for_sourcing = 0;
  if (sourcing == NULL) give_back();
  return sourcing != NULL;
}

/* ---- What has no file */

/* As bash was given them: it has imported them by now, and changed its own list. */
static int functions_of_environment(void) {
  const int fd = bash_open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
  size_t size = 0, room = 65536;
  char* all = xmalloc(room);
  ssize_t n;
  int good = 1;
  while (fd >= 0 && (n = read(fd, all + size, room - 1 - size)) > 0) {
    size += (size_t)n;
    if (size == room - 1) all = xrealloc(all, room *= 2);
  }
  all[size] = '\0';
  for (size_t at = 0; good && at < size; at += strlen(all + at) + 1)
    if (strncmp(all + at, "BASH_FUNC_", 10) == 0) good = measure_text("bash-function", all + at);
  if (fd >= 0) close(fd);
  xfree(all);
  return good;
}

static int is_absence(int error) {
  return error == -ENOENT || error == -ENODEV || error == -ENOTCONN || error == -ECONNABORTED;
}

/* Commands from a pipe or a file: bash has read nothing of them yet. A terminal's are typed. */
static int standard_input(void) {
  struct stat st;
  int copy;
  if (fstat(0, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)))
    return 1;
  if (S_ISREG(st.st_mode)) assay_verdict_fd(0, 0); /* so that the list has its path; the copy counts */
  copy = assay_read_measured(0, "bash-stdin", 0);
  if (copy < 0 && stops("bash-stdin", copy)) return 0;
  if (is_absence(copy)) return 1; /* and nothing was read */
  if (copy < 0) {
    fprintf(stderr, "assay: bash-stdin: it can't be copied: %s\n", strerror(-copy));
    return 0;
  }
  if (dup2(copy, 0) != 0) return 0;
  close(copy);
  return 1;
}

static int measured_eval(WORD_LIST* list) {
  char* const text = string_list(list);
  const int good = text == NULL || measure_text("bash-eval", text);
  if (text != NULL) xfree(text);
  return good ? bash_eval(list) : REFUSED;
}

static int evals(int on) {
  struct builtin* const b = builtin_address_internal("eval", 1);
  if (b == NULL) return EXECUTION_FAILURE;
  if (bash_eval == NULL) bash_eval = b->function;
  b->function = on ? measured_eval : bash_eval;
  return EXECUTION_SUCCESS;
}

static int start(int with_stdin) {
  const char* const eval = getenv("ASSAY_EVAL");
  if (eval != NULL && strcmp(eval, "1") == 0) evals(1);
  if (!functions_of_environment()) return REFUSED;
  if (command_execution_string != NULL) return measure_text("bash-c", command_execution_string) ? 0 : REFUSED;
  if (shell_script_filename != NULL) {
    script_pending = default_buffered_input < 0; /* not when a script itself says `assay start` */
    return 0;
  }
  return !interactive_shell && with_stdin && !standard_input() ? REFUSED : 0;
}

/* ---- The builtin */

static int is(const WORD_LIST* list, const char* word) {
  return list != NULL && strcmp(list->word->word, word) == 0;
}

int assay_builtin(WORD_LIST* list) {
  int status;
  if (is(list, "eval") && list->next != NULL) return evals(is(list->next, "on"));
  if (!is(list, "start")) {
    builtin_usage();
    return EX_USAGE;
  }
  status = start(!is(list->next, "nostdin"));
  if (status != 0) exit_shell(status);
  assay_announce("bash"); /* an error only means that nobody looks how shells are started */
  return EXECUTION_SUCCESS;
}

int assay_builtin_load(char* name) {
  const char* const text_of_required = getenv("ASSAY_REQUIRED");
  (void)name;
  required = text_of_required != NULL && *text_of_required != '\0' && strcmp(text_of_required, "0") != 0;
  if (take_opens()) return 1;
  builtin_error("this bash does not open files in a way that is known: nothing is measured");
  return 0;
}

void assay_builtin_unload(char* name) {
  (void)name;
  give_back();
  if (bash_eval != NULL) evals(0);
}

static char* text[] = {"Has the code measured that this shell reads, before it acts.", "",
                       "start: what the shell was given to run. eval on|off: the text of each eval.", NULL};
struct builtin assay_struct = {
    "assay", assay_builtin, BUILTIN_ENABLED, text, "assay start [nostdin] | assay eval on|off", 0};
