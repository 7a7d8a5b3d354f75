// The policy decides what is measured and what may run. Its language is that of the kernel's ima_policy with
// some additional conditions.
//
//   // given: int fd, const std::string& path, const Task& task
//   ASSAY_ASSIGN(Policy policy, Policy::Parse("measure func=BPRM_CHECK\nappraise fowner=0\n"));
//   const Facts facts = GatherFacts(fd, path, task, policy.needs());
//   const Ruling ruling = policy.Rule(Func::kBprmCheck, kMayExec, facts);
//
// Contract: as in the kernel, the first matching rule of each kind (measure, appraise, audit) decides, and
// without a matching rule nothing is done. An unknown fact of a file or a task (one without a value in Facts)
// matches conditions of measure, appraise and audit rules, and never those of dont_measure, dont_appraise or
// dont_audit, so that it is rather measured. A malformed rule is a ParseError "measure-policy" with its
// offset, and no rule of that text is used. Sources: Linux Documentation/ABI/testing/ima_policy,
// security/integrity/ima/ima_policy.c (6.12). docs/formats/measure-policy.md
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "list/list.h"

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

// The facts that rules refer to. No value: the fact is unknown, or no rule needs it.
struct Facts {
  std::optional<std::uint64_t> fs_magic{};
  std::optional<std::string> fs_name{}, fs_uuid{};  // "ext4"; lower case
  std::optional<uid_t> owner{};
  std::optional<gid_t> group{};
  std::optional<std::string> path{};    // the kernel's name of the file
  std::optional<bool> code{};           // whether it looks like code: ELF, #!, or a known extension
  std::optional<bool> known{};          // whether its digest is in the manifest
  std::optional<bool> interpreted{};    // whether an interpreter opens it and reads it as code
  std::optional<bool> configuration{};  // whether its opener reads it as configuration
  std::optional<uid_t> uid{}, euid{};   // of the task
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
  kNeedConfiguration = 1 << 10,
};

struct Ruling {
  bool measure = false, appraise = false, audit = false;
  ima::Template record = ima::Template::kNg;  // or kNgCgroup: the record names the task's control group
  bool any() const { return measure || appraise || audit; }
};

class Policy {
 public:
  static Result<Policy> Parse(std::string_view text);
  // "default", "all_files" (default, and every file that is read), "exec" (default without files that are
  // only read), "configuration" (only configuration that acts as code), "tcb", "appraise_tcb". nullopt for
  // any other name.
  static std::optional<std::string_view> BuiltIn(std::string_view name);

  Ruling Rule(Func func, std::uint8_t access, const Facts& facts) const;
  std::uint32_t needs() const { return needs_; }  // bits of Need: the facts that GatherFacts() must find
  bool RecordsCgroups() const { return records_cgroups_; }  // whether any rule does
  bool DependsOnTask() const { return (needs_ & (kNeedIds | kNeedCgroup)) != 0; }
  bool Appraises() const { return appraises_; }
  bool Asks(Func func) const;  // whether any rule could apply to it
  // No rule applies to files that other programs open than interpreters and readers of configuration.
  bool AsksInterpretersOnly() const;
  // Whether it measures everything that the other policy measures, judged by the text of the rules. False
  // means that this could not be shown.
  bool AtLeast(const Policy& other) const;
  const std::string& text() const { return text_; }

  // A parsed rule.
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
    kConfiguration,
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
    std::optional<ima::Template> record_template{};
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

// Finds facts about an open file and the thread that uses it. The caller sets `known`, `interpreted` and
// `configuration`, and may replace `code`.
Facts GatherFacts(int fd, const std::string& path, const Task& task, std::uint32_t needs);

// Matches a glob with a whole path: `?` and `*` match within a name, `**` matches across names, `\` quotes
// the next character.
bool GlobMatches(std::string_view glob, std::string_view path);

// The default extensions of files that are code without a magic number.
inline constexpr std::string_view kUsualExtensions[] = {".py", ".pl", ".pm", ".sh", ".rb"};

}  // namespace assay::measure
