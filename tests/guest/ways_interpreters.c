/* What interpreters read: byte code, start-up files, files whose names say nothing. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ways.h"

#define LOADER "/lib64/ld-linux-x86-64.so.2"

static char* const kEnvironment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

/* A text and a mark, in the way's own folder: no #!, and whatever name it is given. */
static char* text(const char* name, const char* body) {
  char* marked = NULL;
  must(asprintf(&marked, "%s\n# way %s %ld\n", body, way_name, (long)getppid()) > 0, "asprintf");
  struct content c = {(unsigned char*)marked, strlen(marked)};
  return put(name, c);
}

/* The words of a command line, by name or path. */
static int words(const char* program, const char* a, const char* b, const char* c) {
  char* argv[] = {(char*)program, (char*)a, (char*)b, (char*)c, NULL};
  return run(argv, kEnvironment);
}

static int with(const char* variable, const char* value, const char* program, const char* a, const char* b,
                const char* c) {
  char* setting = NULL;
  must(asprintf(&setting, "%s=%s", variable, value) > 0, "asprintf");
  char* argv[] = {(char*)program, (char*)a, (char*)b, (char*)c, NULL};
  char* environment[] = {setting, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", NULL};
  return run(argv, environment);
}

/* The source is as it was; its byte code is not. Python itself makes both, and says the digest of the second.
 */
static int forged_bytecode(void) {
  static const char kForge[] =
      "import sys, os, hashlib, importlib.util, importlib._bootstrap_external as b\n"
      "source = os.path.join(sys.argv[1], 'mod.py')\n"
      "open(source, 'w').write('pass\\n')\n"
      "st = os.stat(source)\n"
      "code = compile('print(\"ran\")  # ' + sys.argv[2], source, 'exec')\n"
      "data = b._code_to_timestamp_pyc(code, int(st.st_mtime), st.st_size) + sys.argv[2].encode()\n"
      "target = importlib.util.cache_from_source(source)\n"
      "os.makedirs(os.path.dirname(target), exist_ok=True)\n"
      "open(target, 'wb').write(data)\n"
      "print('digest', hashlib.sha256(data).hexdigest())\n";
  char mark[32];
  snprintf(mark, sizeof(mark), "%ld", (long)getppid());
  char* forge[] = {"/usr/bin/python3", "-c", (char*)kForge, at(""), mark, NULL};
  must(run(forge, kEnvironment) == 0, "forging");
  char* argv[] = {"/usr/bin/python3", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import mod", at(""),
                  NULL};
  return run(argv, kEnvironment);
}

static int python_text(void) { return words("/usr/bin/python3", text("text", "print('ran')"), NULL, NULL); }
static int python_options(void) {
  return words("/usr/bin/python3", "-W", "ignore", text("text.json", "print('ran')"));
}
static int perl_text(void) { return words("/usr/bin/perl", text("text", "print \"ran\\n\";"), NULL, NULL); }
static int perl_module(void) {
  text("Way.pm", "package Way; print \"ran\\n\"; 1;");
  char* argv[] = {"/usr/bin/perl", "-I", at(""), "-MWay", "-e0", NULL};
  return run(argv, kEnvironment);
}
static int awk_program(void) {
  return words("/usr/bin/awk", "-f", text("text", "BEGIN { print \"ran\" }"), NULL);
}
static int sed_program(void) {
  char* argv[] = {"/usr/bin/sed", "-n", "-f", text("text", "1e echo ran"), "/etc/hostname", NULL};
  return run(argv, kEnvironment);
}
static int bash_env(void) {
  return with("BASH_ENV", text("settings", "echo ran"), "/bin/bash", "-c", ":", NULL);
}
static int bash_rc(void) {
  text(".bashrc", "echo ran");
  return with("HOME", at(""), "/bin/bash", "-i", "-c", ":");
}
static int login_profile(void) {
  text(".profile", "echo ran");
  return with("HOME", at(""), "/bin/sh", "-l", "-c", ":");
}
static int shell_input(void) {
  char* command = NULL;
  must(asprintf(&command, "sh < %s", text("text", "echo ran")) > 0, "asprintf");
  return words("/bin/sh", "-c", command, NULL);
}
static int multi_call(void) { return words("/bin/busybox", "sh", text("text", "echo ran"), NULL); }
static int by_loader(void) { return words(LOADER, "/bin/dash", text("text", "echo ran"), NULL); }
/* Known by what it is, not by its name. */
static int copied_shell(void) {
  char* command = NULL;
  must(asprintf(&command, "cp /bin/dash %s", at("copy")) > 0, "asprintf");
  must(system(command) == 0, command);
  return words(at("copy"), text("text", "echo ran"), NULL, NULL);
}
/* The copy is measured before it is executed: as a file that a shell opens. */
static int copied_and_read(void) {
  char* command = NULL;
  must(asprintf(&command, "cp /bin/dash %1$s && : < %1$s", at("copy")) > 0, "asprintf");
  must(words("/bin/sh", "-c", command, NULL) == 0, command);
  return words(at("copy"), text("text", "echo ran"), NULL, NULL);
}
/* Read by a program that is no interpreter before: that must not make it data. */
static int read_before(void) {
  char* path = text("text", "echo ran");
  must(words("/bin/cat", path, NULL, NULL) == 0, path);
  return words("/bin/sh", path, NULL, NULL);
}

const struct way kInterpreterWays[] = {
    {"pyc", "python3 with byte code that is not its source's", forged_bytecode},
    {"python-text", "python3 FILE, without extension", python_text},
    {"python-options", "python3 with options and a FILE named like data", python_options},
    {"perl-text", "perl FILE, without extension", perl_text},
    {"perl-module", "a perl module", perl_module},
    {"awk-program", "awk -f FILE", awk_program},
    {"sed-program", "sed -f FILE, which runs commands", sed_program},
    {"bash-env", "BASH_ENV", bash_env},
    {"bashrc", "an interactive shell's ~/.bashrc", bash_rc},
    {"profile", "a login shell's ~/.profile", login_profile},
    {"stdin-text", "sh < FILE, without #! or extension", shell_input},
    {"multi-call", "busybox sh FILE", multi_call},
    {"loader-shell", "the dynamic loader called with a shell and a FILE", by_loader},
    {"copied-shell", "a copy of a shell under another name, and a FILE", copied_shell},
    {"copied-and-read", "the same, after another shell has read the copy", copied_and_read},
    {"read-before", "cat FILE, then sh FILE", read_before},
    {NULL, NULL, NULL}};
