// What is measured, and what can't be: the words that engines, recorder and the `measure` node share.
//
//   recorder.Record({.digest = digest, .path = "/usr/bin/ls", .context = ContextOf(tid, "exec")});
//
// Contract: data only. A context is told by the attester and bound into the quote; the PCR does not prove it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "list/list.h"

namespace assay::measure {

// Who loaded it, for the side journal: not proven by the PCR, but bound into the quote's qualifying data.
struct Context {
  std::uint64_t time_ms = 0;  // since the epoch
  pid_t pid = 0;
  uid_t uid = 0;
  std::string comm;
  std::string hook;      // "exec", "open", "measure", "start"
  std::string cgroup{};  // "/system.slice/ssh.service"; empty: unknown
  bool late = false;     // it has run, nobody waits: may share a record with others, whatever it is
};

struct Measurement {
  Digest digest;
  std::string path;
  Context context;
  // kNgCgroup: the record names the context's control group; each group has a record of its own.
  ima::Template record = ima::Template::kNg;
  // Whether the digest is in the signed manifest, where the caller has asked already; else the recorder asks.
  std::optional<bool> known{};
};

// IMA's two, content that could not be read, and ways to run code or to change it that have no content to
// measure (the lsm engine sees them).
enum class Violation {
  kOpenWriters,
  kToMToU,
  kUnmeasurable,
  kMprotect,       // a file's mapping made executable that was not measured before
  kModifiedCode,   // private pages of a file, written to and made executable
  kAnonymousCode,  // executable memory without a file
  kWritableCode,   // memory writable and executable at once
  kProcessAccess,  // another process's memory opened for writing
  kRawDevice,      // a block device written to under its file system
  kKernelMemory,   // /dev/mem opened for writing
  kKexecLoad,      // a kernel that the present one does not look at
  kUnanswered,     // it ran while no attester answered
  kGuarded,        // somebody reached for the attester, and was refused
  // It was mapped shared and writable before: its pages may be written to though nobody has it open.
  kSharedWritable,
  kUserfault,    // a program supplies the pages of memory itself
  kIdentity,     // a process changes what its program seems to be
  kHooksOff,     // the switch of the engine's hooks opened for writing
  kLockdown,     // allowed what lockdown=integrity would refuse
  kHooksSilent,  // a hook of the lsm engine was not called; or is again
};
std::string_view ViolationName(Violation v);  // "open_writers", "ToMToU", "unmeasurable", "mprotect", ...

}  // namespace assay::measure
