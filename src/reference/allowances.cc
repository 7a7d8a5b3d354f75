#include "reference/allowances.h"

#include <fnmatch.h>

#include "measure/system/allowable.h"

namespace assay::reference {
namespace {

// The bits are the places in measure::AllowableKinds(); a test compares them with the names.
constexpr std::uint32_t kAnonymous = 4, kWritable = 8, kProcess = 16, kRaw = 32, kBpf = 64;

struct Row {
  const char* package;  // globs, with * also for /
  const char* path;
  std::uint32_t kinds;
};

// What each program did under the lsm engine on Debian 12 (tests/guest/day does some of it). A library
// that makes code (PCRE2, libffi) counts for the program that loads it. A program belongs here only if its
// ordinary use needs the violation.
constexpr Row kPrograms[] = {
    // PCRE2: grep -P, git grep -P, preg_match(), pcre_jit, regular expressions of R
    {"grep", "/*bin/grep", kWritable},
    {"pcre2-utils", "/usr/bin/pcre2*", kWritable},
    {"git", "/usr/bin/git", kWritable},
    {"php*-cli", "/usr/bin/php*", kWritable},
    {"nginx*", "/usr/sbin/nginx", kWritable},
    {"r-base-core", "/usr/lib/R/bin/exec/R", kWritable},
    // libffi: closures of ctypes and cffi
    {"python3.*-minimal", "/usr/bin/python3.*", kWritable},
    // Languages
    {"nodejs", "/usr/bin/node*", kWritable},
    {"openjdk-*-jre-headless", "/usr/lib/jvm/*/bin/java", kWritable},
    {"pypy3", "/usr/bin/pypy3*", kWritable},
    {"ruby3.*", "/usr/bin/ruby3.*", kAnonymous},
    {"luajit", "/usr/bin/luajit*", kAnonymous},
    {"guile-*", "/usr/lib/*/guile/*/bin/guile", kWritable},
    {"gjs", "/usr/bin/gjs-console", kAnonymous},
    {"sbcl", "/usr/*bin/sbcl", kWritable},
    {"firefox-esr", "/usr/lib/firefox-esr/firefox-esr", kWritable | kAnonymous},
    // Emulators
    {"qemu-user*", "/usr/bin/qemu-x86_64*", kWritable},
    {"valgrind", "/usr/libexec/valgrind/*-linux", kWritable},
    // Debuggers: the memory of what they debug, by ptrace and /proc/PID/mem
    {"gdb", "/usr/bin/gdb", kProcess},
    {"strace", "/usr/bin/strace", kProcess},
    // Tools that open a mounted device for writing, if only to change its label or partitions
    {"e2fsprogs", "/*sbin/tune2fs", kRaw},
    {"parted", "/*sbin/parted", kRaw},
    {"parted", "/*sbin/partprobe", kRaw},
    // mount -o loop opens the loop device for writing
    {"mount", "/*bin/mount", kRaw},
    // The service manager makes BPF programs from units (DeviceAllow=, IPAddressDeny=) and loads its own.
    // Those
    // of others it only attaches, once they are loaded (BPFProgram=).
    {"systemd", "/*lib/systemd/systemd", kBpf},
};

}  // namespace

void MarkAllowances(PackageContent& content) {
  for (const Row& row : kPrograms) {
    if (fnmatch(row.package, content.package.c_str(), 0) != 0) continue;
    for (PackagedFile& file : content.files)
      if (fnmatch(row.path, file.path.c_str(), 0) == 0) file.allowances |= row.kinds;
  }
}

std::set<std::string> AllowanceNames(std::uint32_t bits) {
  std::set<std::string> out;
  const auto kinds = measure::AllowableKinds();
  for (std::size_t i = 0; i < kinds.size(); ++i)
    if ((bits >> i & 1U) != 0) out.emplace(kinds[i]);
  return out;
}

}  // namespace assay::reference
