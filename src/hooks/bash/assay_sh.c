/* assay-sh: starts a shell so that what it is given to run is measured first.
 *
 *   assay-sh /usr/bin/dash -c 'echo hi'
 *
 * In place of a shell (`dpkg-divert --rename --add /usr/bin/bash` and a copy of this program there) it starts
 * the program of its own path with ".distrib" appended, and the arguments are the shell's.
 *
 * A bash that reads BASH_ENV gets our start-up file there (a former one is sourced by ours), and the builtin
 * does the rest. For any other shell (dash, `bash -p`, `bash --posix`) the text after -c, the script and what
 * comes through a pipe are measured here, and the shell gets what was measured. What it sources later it
 * opens itself. */
#define _GNU_SOURCE
#include <assay.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSED 126
#define DIVERTED ".distrib"
#ifndef ASSAY_BASH_START
#define ASSAY_BASH_START "/usr/lib/assay/bash/bash-env"
#endif

struct given {
  int bash, posix, privileged, command, from_stdin;
  int rest; /* the first argument that is no option: the text after -c, or the script */
};

/* Says why content must not be used. What can't be measured is used all the same, unless ASSAY_REQUIRED says
 * no. */
static int stops(const char* what, int result) {
  const char* const text = getenv("ASSAY_REQUIRED");
  if (result == ASSAY_REFUSED || result == -EACCES)
    fprintf(stderr, "assay: %s: the owner of this machine refuses it\n", what);
  else if (result < 0 && text != NULL && *text != '\0' && strcmp(text, "0") != 0)
    fprintf(stderr, "assay: %s: it can't be measured: %s\n", what, strerror(-result));
  else
    return 0;
  return 1;
}

static void read_options(int argc, char** argv, struct given* g) {
  int i = 1;
  while (i < argc && (argv[i][0] == '-' || argv[i][0] == '+')) {
    const char* const option = argv[i++];
    if (strcmp(option, "-") == 0 || strcmp(option, "--") == 0) break;
    if (strncmp(option, "--", 2) == 0) {
      if (strcmp(option, "--posix") == 0) g->posix = 1;
      if (strcmp(option, "--rcfile") == 0 || strcmp(option, "--init-file") == 0) ++i;
      continue;
    }
    for (const char* c = option + 1; *c != '\0'; ++c) {
      if (*c == 'c') g->command = 1;
      if (*c == 's') g->from_stdin = 1;
      if (*c == 'p') g->privileged = 1;
      if (*c == 'o' || *c == 'O') {
        if (i < argc && *c == 'o' && strcmp(argv[i], "posix") == 0) g->posix = 1;
        ++i;
      }
    }
  }
  g->rest = i < argc ? i : argc;
}

static const char* last_part(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static int is_absence(int error) {
  return error == -ENOENT || error == -ENODEV || error == -ENOTCONN || error == -ECONNABORTED;
}

static int measure_stdin(const char* what) {
  struct stat st;
  int copy;
  if (fstat(0, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)))
    return 0;
  if (S_ISREG(st.st_mode)) assay_verdict_fd(0, 0); /* for its path; the copy counts */
  copy = assay_read_measured(0, what, 0);
  if (copy < 0 && stops(what, copy)) return REFUSED;
  if (is_absence(copy)) return 0; /* and nothing was read */
  if (copy < 0) fprintf(stderr, "assay: %s: it can't be copied: %s\n", what, strerror(-copy));
  return copy >= 0 && dup2(copy, 0) == 0 ? 0 : REFUSED;
}

/* The shell sources the copy, so that $0 and the arguments are the script's own. */
static char** source_copy(int argc, char** argv, int script, int copy) {
  char** const with = calloc((size_t)argc + 3, sizeof(*with));
  static char dash_c[] = "-c";
  char* text = NULL;
  int n = 0;
  if (with == NULL || asprintf(&text, ". /proc/self/fd/%d", copy) < 0) return NULL;
  for (int i = 0; i < script; ++i)
    if (strcmp(argv[i], "--") != 0 && strcmp(argv[i], "-") != 0) with[n++] = argv[i];
  with[n++] = dash_c;
  with[n++] = text;
  for (int i = script; i < argc; ++i) with[n++] = argv[i];
  return with;
}

static int measure_script(int argc, char*** argv, int script) {
  struct stat st;
  const char* const path = (*argv)[script];
  int fd;
  if (stat(path, &st) != 0 || S_ISDIR(st.st_mode) || access(path, R_OK) != 0)
    return 0; /* the shell says it */
  fd = assay_open_measured(path, 0);
  if (fd < 0) return stops(path, fd) ? REFUSED : 0;
  if ((fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE) == 0 || fcntl(fd, F_GET_SEALS) < 0) {
    close(fd); /* only root may write to it, or no attester runs */
    return 0;
  }
  if (fcntl(fd, F_SETFD, 0) != 0) return REFUSED;
  *argv = source_copy(argc, *argv, script, fd);
  return *argv != NULL ? 0 : REFUSED;
}

static int measure(int argc, char*** argv, const struct given* g) {
  if (g->command && g->rest < argc) {
    const char* const text = (*argv)[g->rest];
    const char* const what = g->bash ? "bash-c" : "sh-c";
    return stops(what, assay_verdict_buffer(what, text, strlen(text), 0)) ? REFUSED : 0;
  }
  if (!g->from_stdin && g->rest < argc) return measure_script(argc, argv, g->rest);
  return measure_stdin(g->bash ? "bash-stdin" : "sh-stdin");
}

int main(int argc, char** argv) {
  static char shell[PATH_MAX];
  struct given g = {0};
  const ssize_t n = readlink("/proc/self/exe", shell, sizeof(shell) - sizeof(DIVERTED));
  if (n > 0) memcpy(shell + n, DIVERTED, sizeof(DIVERTED));
  if (n <= 0 || access(shell, X_OK) != 0) {
    if (argc < 2 || strlen(argv[1]) >= sizeof(shell)) {
      fprintf(stderr, "usage: assay-sh SHELL [ARGUMENT...]\n");
      return 64;
    }
    strcpy(shell, argv[1]);
    --argc;
    ++argv;
  }
  g.bash = strncmp(last_part(shell), "bash", 4) == 0;
  g.posix = g.bash && strcmp(last_part(argv[0]), "sh") == 0;
  read_options(argc, argv, &g);
  if (g.bash && !g.posix && !g.privileged) {
    const char* const former = getenv("BASH_ENV");
    if (former != NULL && strcmp(former, ASSAY_BASH_START) != 0 && setenv("ASSAY_BASH_ENV", former, 1) != 0)
      return REFUSED;
    if (setenv("BASH_ENV", ASSAY_BASH_START, 1) != 0) return REFUSED;
  } else {
    const int refused = measure(argc, &argv, &g);
    if (refused != 0) return refused;
  }
  execvp(shell, argv);
  fprintf(stderr, "assay-sh: %s: %s\n", shell, strerror(errno));
  return errno == ENOENT ? 127 : REFUSED;
}
