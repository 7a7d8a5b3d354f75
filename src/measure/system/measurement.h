// Measurements, violations and their context: the types that engines, recorder and the `measure` node share.
//
//   // given: const Digest& digest, pid_t pid
//   Context context;
//   context.pid = pid;
//   context.hook = "exec";
//   const Measurement measurement{.digest = digest, .path = "/usr/bin/ls", .context = context};
//
// Contract: data only. A context is a claim of the attester that is bound into the quote; the PCR does not
// prove it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "list/list.h"

namespace assay::measure {

// The task that loaded the content, for the side journal: not proven by the PCR, but bound into the quote's
// qualifying data.
struct Context {
  std::uint64_t time_ms = 0;  // since the epoch
  pid_t pid = 0;
  uid_t uid = 0;
  std::string comm;
  std::string hook;      // "exec", "open", "measure", "start"
  std::string cgroup{};  // "/system.slice/ssh.service"; empty: unknown
  // For people (task_names.h, ScriptOf() of interpreters.h); each is empty where it is unknown.
  std::string program{};  // the path of the task's program: "/usr/bin/dash"
  std::string
      script{};  // what its command line tells the interpreter to run: "/usr/sbin/update-ca-certificates"
  std::string under{};  // its parents' names, the nearest first: "dpkg, apt-get"
  bool late = false;    // it has already run and no task waits, so it may always share a record with others
};

struct Measurement {
  Digest digest;
  std::string path;
  Context context;
  // kNgCgroup: the record names the context's control group; each group has a record of its own.
  ima::Template record = ima::Template::kNg;
  // Whether the digest is in the signed manifest, where the caller has asked already; else the recorder asks.
  std::optional<bool> known{};
  std::optional<Digest> code{};  // of byte code (byte_code.h): a record beside the entry names it
};

// The two of the kernel's IMA, content that could not be read, and ways to run or change code that have no
// content to measure (only the lsm engine sees these).
enum class Violation {
  kOpenWriters,
  kToMToU,
  kUnmeasurable,
  kMprotect,       // a mapping of a file that was not measured was made executable
  kModifiedCode,   // private pages of a file were written to and made executable
  kAnonymousCode,  // executable memory without a file
  kWritableCode,   // memory is writable and executable at once
  kProcessAccess,  // another process's memory was opened for writing
  kRawDevice,      // a block device was opened for writing under its file system
  kKernelMemory,   // /dev/mem was opened for writing
  kKexecLoad,      // a kernel was loaded that the present kernel did not check
  kUnanswered,     // it ran while no attester answered
  kGuarded,        // a task tried to access the attester, and was refused
  // The file was mapped shared and writable before, so its pages may be written to though it is not open for
  // writing.
  kSharedWritable,
  kUserfault,    // a program supplies the pages of memory itself
  kIdentity,     // a process changes which program it seems to run
  kHooksOff,     // the sysctl that switches the engine's hooks off was opened for writing
  kLockdown,     // an operation was allowed that lockdown=integrity would refuse
  kHooksSilent,  // a hook of the lsm engine is no longer called, or is called again
};
std::string_view ViolationName(Violation v);  // "open_writers", "ToMToU", "unmeasurable", "mprotect", ...

}  // namespace assay::measure
