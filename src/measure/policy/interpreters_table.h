// Internal: the table of interpreters, one row for each kind.
//
//   for (const table::Row& row : table::kRows) log::Info("{}: {}", row.names, row.extensions);
//
// Contract: words of a list are separated by blanks; names and files are globs over the last part of a path.
// Sources: the manuals of each; magic numbers: CPython Lib/importlib/_bootstrap_external.py (a number, \r\n),
// JVMS 4.1, JDK jimage.hpp, Lua lundump.h, Ruby compile.c (YARB), PKZIP APPNOTE 4.3.7, emacs bytecomp.el.
#pragma once

#include <string_view>

#include "measure/policy/interpreters.h"

namespace assay::measure::table {

enum Magic : std::uint16_t {
  kNoMagic = 0,
  kPyc = 1 << 0,
  kZip = 1 << 1,
  kClass = 1 << 2,
  kJimage = 1 << 3,
  kLuaCode = 1 << 4,
  kRubyCode = 1 << 5,
  kWasm = 1 << 6,
  kElc = 1 << 7,
  kBeam = 1 << 8,
  kPe = 1 << 9,
};

struct Row {
  Interpreter id;
  std::string_view names;       // of programs
  std::string_view extensions;  // of code
  std::string_view files;       // that it reads by itself when they exist
  unsigned magics = kNoMagic;
  bool any = false;     // every file that it opens counts as code, whatever its name
  bool scripts = true;  // files with #! or a configured extension are code; false: they are text to it
  // How its command line is read, to find the file that it is told to run (FILE operand):
  bool operand = false;               // the first word that is not an option
  std::string_view script_letters{};  // -f FILE
  std::string_view value_letters{};   // -I VALUE: the next word is not the operand
  std::string_view inline_letters{};  // -c TEXT: there is no operand
  std::string_view script_words{};    // the same for long options
  std::string_view value_words{};
  std::string_view inline_words{};
};

inline constexpr Row kRows[] = {
    {.id = Interpreter::kShell,
     .names =
         "sh bash bash-static rbash dash ash hush zsh zsh-* zsh5 ksh ksh93 lksh mksh mksh-static posh yash "
         "fish csh tcsh bsd-csh sh.shared rc es elvish nu xonsh",
     .extensions = ".sh .bash .zsh .ksh .fish .csh .tcsh",
     .files =
         "profile .profile .bash_profile .bash_login .bash_logout .bash_aliases .bashrc bashrc bash.bashrc "
         "bash.bash_logout .zshrc .zshenv .zprofile .zlogin .zlogout zshrc zshenv zprofile zlogin zlogout "
         ".kshrc .mkshrc mkshrc .shrc .cshrc .tcshrc .login csh.cshrc csh.login .inputrc inputrc",
     .any = true},
    {.id = Interpreter::kMake,
     .names = "make gmake bmake pmake remake ninja samu just",
     .extensions = ".mk .mak .make .ninja",
     .files = "Makefile makefile GNUmakefile BSDmakefile Makefile.* makefile.* justfile",
     .any = true},
    {.id = Interpreter::kMultiCall,
     .names = "busybox busybox-* toybox box64",
     .extensions = "",
     .files = "",
     .any = true},
    {.id = Interpreter::kLoader,
     .names = "ld-linux*.so* ld.so ld-*.so ld-musl-*.so*",
     .extensions = "",
     .files = "",
     .any = true},
    {.id = Interpreter::kPython,
     .names = "python python2* python3* pypy pypy3* micropython uwsgi uwsgi_python3 uwsgi-core",
     .extensions = ".py .pyw .pyc .pyo .pth .pyz .egg .whl ._pth",
     .files = "",
     .magics = kPyc | kZip,
     .operand = true,
     .value_letters = "WX",
     .inline_letters = "cm",
     .value_words = "--check-hash-based-pycs"},
    {.id = Interpreter::kPerl,
     .names = "perl perl5* perl-static wperl",
     .extensions = ".pl .pm .ph .al .plx .t .cgi .psgi",
     .files = "",
     .operand = true,
     .value_letters = "I",
     .inline_letters = "eE"},
    {.id = Interpreter::kRuby,
     .names = "ruby ruby1* ruby2* ruby3* jruby mruby irb",
     .extensions = ".rb .rbw .gemspec .ru .rake",
     .files = "Gemfile Rakefile .irbrc irbrc",
     .magics = kRubyCode,
     .operand = true,
     .value_letters = "IrCEKFTWX",
     .inline_letters = "e"},
    {.id = Interpreter::kNode,
     .names = "node nodejs bun deno qjs d8 js",
     .extensions = ".js .mjs .cjs .jsx .ts .mts .cts .tsx .wasm",
     .files = "package.json",
     .magics = kWasm,
     .operand = true,
     .value_letters = "rC",
     .inline_letters = "ep",
     .script_words = "--require --import --loader --experimental-loader",
     .value_words = "--conditions --env-file --icu-data-dir --openssl-config --title --inspect-port",
     .inline_words = "--eval --print"},
    {.id = Interpreter::kJava,
     .names = "java javac jshell jexec groovy kotlin scala",
     .extensions = ".class .jar .war .ear .jmod .jsa .java .jsh .groovy .gradle .kts",
     .files = "modules",
     .magics = kZip | kClass | kJimage},
    {.id = Interpreter::kPhp,
     .names = "php php5* php7* php8* php-fpm* php-cgi* phpdbg* apache2 httpd",
     .extensions = ".php .phtml .php3 .php4 .php5 .php7 .phps .phar .inc",
     .files = ".user.ini",
     .operand = true,
     .script_letters = "fF",
     .value_letters = "dczgS",
     .inline_letters = "rBRE",
     .script_words = "--file",
     .value_words = "--define --php-ini",
     .inline_words = "--run"},
    {.id = Interpreter::kLua,
     .names = "lua lua5* luajit luajit-* texlua luatex",
     .extensions = ".lua .luac .ljbc",
     .files = "",
     .magics = kLuaCode,
     .operand = true,
     .value_letters = "el"},
    {.id = Interpreter::kTcl,
     .names = "tclsh tclsh8* tclsh9* wish wish8* wish9* expect jimsh",
     .extensions = ".tcl .tm .tk .exp",
     .files = ".tclshrc .wishrc .expect.rc tclIndex",
     .operand = true,
     .value_words = "-encoding"},
    {.id = Interpreter::kAwk,
     .names = "awk gawk mawk nawk original-awk bwk goawk",
     .extensions = ".awk",
     .files = "",
     .scripts = false,
     .operand = false,
     .script_letters = "fEil",
     .value_letters = "vFW",
     .script_words = "--file --exec --include --load",
     .value_words = "--assign --field-separator"},
    {.id = Interpreter::kSed,
     .names = "sed gsed",
     .extensions = ".sed",
     .files = "",
     .scripts = false,
     .operand = false,
     .script_letters = "f",
     .value_letters = "el",
     .script_words = "--file",
     .value_words = "--expression --line-length"},
    {.id = Interpreter::kLisp,
     .names = "guile guile-* guile2* emacs emacs-* emacs2* emacs3* sbcl clisp ecl racket scheme",
     .extensions = ".scm .go .el .elc .eln .lisp .fasl .core .rkt .zo .ss",
     .files = ".emacs .guile init.el",
     .magics = kElc,
     .scripts = false,
     .operand = true,
     .script_letters = "sl",
     .value_letters = "LCxe",
     .inline_letters = "c",
     .script_words = "--load --script -l",
     .value_words = "--eval"},
    {.id = Interpreter::kEditor,
     .names = "vim vim.* nvim vi view ex rvim vimdiff",
     .extensions = ".vim .lua .exrc",
     .files = ".vimrc vimrc vimrc.local vimrc.tiny .exrc .gvimrc .nvimrc sysinit.vim",
     .scripts = false,
     .operand = false,
     .script_letters = "uSsU",
     .value_letters = "cTti"},
    {.id = Interpreter::kDebugger,
     .names = "gdb gdb-multiarch gdbserver lldb lldb-*",
     .extensions = ".gdb .py .scm .lldb",
     .files = ".gdbinit gdbinit .lldbinit *-gdb.*",
     .scripts = false,
     .operand = false,
     .script_letters = "xs",
     .script_words = "-x --command -ix --init-command"},
    {.id = Interpreter::kStatistics,
     .names = "R Rscript julia octave octave-cli* maxima gnuplot gnuplot-*",
     .extensions = ".R .r .Rprofile .RData .rda .rds .rdb .jl .m .mac .gp .plt .gnuplot",
     .files = ".Rprofile Rprofile Rprofile.site .RData .octaverc octaverc .gnuplot .Rhistory",
     .operand = true,
     .script_letters = "f",
     .value_letters = "L",
     .inline_letters = "eE",
     .script_words = "--file",
     .value_words = "--project --sysimage"},
    {.id = Interpreter::kErlang,
     .names = "beam.smp erl erlexec escript elixir",
     .extensions = ".beam .erl .hrl .exs .ex .boot .ez .app .rel .script",
     .files = ".erlang",
     .magics = kBeam | kZip},
    {.id = Interpreter::kDotNet,
     .names = "dotnet mono mono-sgen pwsh powershell",
     .extensions = ".dll .exe .ps1 .psm1 .psd1 .csx .fsx",
     .files = "",
     .magics = kPe,
     .operand = true},
    {.id = Interpreter::kBuild,
     .names = "cmake ctest cpack qmake qmake6 m4 bazel scons ansible-*",
     .extensions = ".cmake .pro .pri .m4 .bzl",
     .files = "CMakeLists.txt CMakePresets.json CTestTestfile.cmake BUILD WORKSPACE",
     .scripts = false,
     .operand = true},
};

// Paths of files that shells and other programs open and that are known to be data. An entry counts only
// where root alone can write.
inline constexpr std::string_view kData[] = {
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/mtab",
    "/etc/shells",
    "/etc/services",
    "/etc/protocols",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/debian_version",
    "/etc/locale.alias",
    "/etc/locale.gen",
    "/etc/terminfo/**",
    "/lib/terminfo/**",
    "/usr/lib/terminfo/**",
    "/usr/share/terminfo/**",
    "/usr/lib/locale/**",
    "/usr/share/locale/**",
    "/usr/share/zoneinfo/**",
    "/usr/share/i18n/**",
    "/usr/lib/**/gconv/gconv-modules.cache",
    "/var/cache/nscd/**",
    "/var/lib/sss/mc/**",
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/available",
    "/var/lib/dpkg/diversions",
    "/var/lib/dpkg/statoverride",
    "/var/lib/dpkg/info/*.list",
    "/var/lib/dpkg/info/*.md5sums",
    "/var/lib/dpkg/info/*.conffiles",
    "/var/lib/dpkg/info/*.triggers",
    "/run/**.pid",
};
// Names of the history files of interactive shells, in a user's folder.
inline constexpr std::string_view kHistory =
    ".bash_history .zsh_history .sh_history .ash_history .mksh_history .histfile .history";

}  // namespace assay::measure::table
