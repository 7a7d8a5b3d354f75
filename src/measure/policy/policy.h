// What is measured and what may run: a policy in the language of the kernel's ima_policy, with a few
// conditions more.
//
//   ASSAY_ASSIGN(Policy policy, Policy::Parse("measure func=BPRM_CHECK\nappraise fowner=0\n"));
//   Facts facts = GatherFacts(fd, path, task, policy.needs());
//   Ruling r = policy.Rule(Func::kBprmCheck, kMayExec, facts);
//
// Contract: as in the kernel, the first rule of each kind (measure, appraise, audit) that matches decides it,
// and nothing happens without one. What can't be told of a file or a task (Facts without a value) counts for
// measuring: it fits measure, appraise and audit, and never dont_measure, dont_appraise or dont_audit. A rule
// that is not understood is a ParseError "measure-policy" with its offset; no part of such a text is used.
// Sources: Linux Documentation/ABI/testing/ima_policy, security/integrity/ima/ima_policy.c (6.12).
// docs/formats/measure-policy.md
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay::measure {

inline constexpr std::size_t kMaxPolicy = std::size_t{64} << 10;  // bytes

enum class Func : std::uint8_t {
  kFileCheck,
  kMmapCheck,
  kBprmCheck,
  kModuleCheck,
  kFirmwareCheck,
  kKexecKernelCheck,
  kKexecInitramfsCheck,
  kPolicyCheck,
  kBpfCheck,  // ours: the instructions of a BPF program
};
enum Access : std::uint8_t { kMayExec = 1, kMayWrite = 2, kMayRead = 4, kMayAppend = 8 };

// What rules ask for; no value: it could not be told, or nobody asked.
struct Facts {
  std::optional<std::uint64_t> fs_magic{};
  std::optional<std::string> fs_name{}, fs_uuid{};  // "ext4"; lower case
  std::optional<uid_t> owner{};
  std::optional<gid_t> group{};
  std::optional<std::string> path{};   // the kernel's name for it
  std::optional<bool> code{};          // it looks like code: ELF, #!, or a known extension
  std::optional<bool> known{};         // its digest is in the manifest
  std::optional<bool> interpreted{};   // an interpreter opens it, and takes it for code
  std::optional<uid_t> uid{}, euid{};  // of the task
  std::optional<gid_t> gid{}, egid{};
  std::optional<std::string> cgroup{};  // "/system.slice/ssh.service"
};

enum Need : std::uint32_t {
  kNeedMagic = 1 << 0,
  kNeedFsName = 1 << 1,
  kNeedFsUuid = 1 << 2,
  kNeedOwner = 1 << 3,
  kNeedPath = 1 << 4,
  kNeedCode = 1 << 5,
  kNeedKnown = 1 << 6,
  kNeedIds = 1 << 7,
  kNeedCgroup = 1 << 8,
  kNeedInterpreted = 1 << 9,
};

struct Ruling {
  bool measure = false, appraise = false, audit = false;
  bool cgroup = false;  // template=d-ng|n-ng|cgpath: the record names the task's control group
  bool any() const { return measure || appraise || audit; }
};

class Policy {
 public:
  static Result<Policy> Parse(std::string_view text);
  // "default", "all_files" (it, and every file that is read), "exec" (it, without files that are only read),
  // "tcb", "appraise_tcb"; nothing for another name.
  static std::optional<std::string_view> BuiltIn(std::string_view name);

  Ruling Rule(Func func, std::uint8_t access, const Facts& facts) const;
  std::uint32_t needs() const { return needs_; }            // of Need: what GatherFacts must find out
  bool RecordsCgroups() const { return records_cgroups_; }  // by any rule
  bool DependsOnTask() const { return (needs_ & (kNeedIds | kNeedCgroup)) != 0; }
  bool Appraises() const { return appraises_; }
  bool Asks(Func func) const;         // whether any rule could say yes to it
  bool AsksInterpretersOnly() const;  // of opened files: nothing is ruled of what other programs open
  // Whether it measures whatever the other one measures, as its rules' words alone prove. False: perhaps not.
  bool AtLeast(const Policy& other) const;
  const std::string& text() const { return text_; }

  // A rule as it was parsed.
  enum class Action : std::uint8_t { kMeasure, kAppraise, kAudit };
  enum class Key : std::uint8_t {
    kMagic,
    kFsName,
    kFsUuid,
    kOwner,
    kGroup,
    kPath,
    kCode,
    kKnown,
    kInterpreted,
    kUid,
    kEuid,
    kGid,
    kEgid,
    kCgroup
  };
  struct Condition {
    Key key;
    char op;               // '=', '<' or '>'
    std::uint64_t number;  // of a numeric key; 1 or 0 for yes or no
    std::string text;      // of the others
    friend bool operator==(const Condition&, const Condition&) = default;
  };
  struct Line {
    Action action;
    bool dont;  // dont_measure, ...
    std::optional<Func> func;
    std::uint8_t access = 0;  // 0: any
    bool any_of = false;      // mask=^...: one of the bits is enough
    std::optional<std::string> record_template{};
    std::vector<Condition> conditions;
  };

 private:
  std::string text_;
  std::vector<Line> lines_;
  std::uint32_t needs_ = 0;
  bool records_cgroups_ = false, appraises_ = false;
};

// Built-in policies by name, joined by "|" as the kernel's ima_policy=, or a file by its absolute path.
Result<std::shared_ptr<const Policy>> FindPolicy(const std::string& name);

// The thread that uses a file, as the engine knows it. Nothing is asked of /proc here: a thread that waits
// for us may hold locks that a file of its folder needs.
struct Task {
  pid_t tid = 0;
  std::optional<uid_t> uid{}, euid{};
  std::optional<gid_t> gid{}, egid{};
  std::optional<std::string> cgroup{};
};

// What can be told of an open file and of the thread that uses it. `known` and `interpreted` are the caller's
// to fill in, and `code` where the caller knows better.
Facts GatherFacts(int fd, const std::string& path, const Task& task, std::uint32_t needs);

// A glob over a whole path: `?` and `*` within a name, `**` over names, `\` takes the next as it is.
bool GlobMatches(std::string_view glob, std::string_view path);

// What files that are code without a magic end in, unless the configuration says otherwise.
inline constexpr std::string_view kUsualExtensions[] = {".py", ".pl", ".pm", ".sh", ".rb"};

}  // namespace assay::measure
