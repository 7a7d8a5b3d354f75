// Internal: the policy at work, for one use of one file, whatever the engine.
//
//   // given: const RulesOptions& options, int fd, const std::string& path, const Task& task,
//   // given: const Context& context
//   Rules rules(options);
//   Use use = rules.Look(fd, path, task, {{Func::kBprmCheck, kMayExec}});
//   if (use.ruling.any()) {
//     ASSAY_ASSIGN(const Digest digest, HashFd(fd, HashAlg::kSha256, nullptr));
//     const bool allowed = rules.Settle(use, &digest, context);
//   }
//
// Contract: Look() rules without the digest, Settle() with it: a rule may ask whether the digest is known. If
// an appraise rule applies and the digest is not in the manifest, Settle() reports it to the log and to
// `refused` (once for each path and digest) and to the audit system, and returns false if the rule is
// enforced. Neither Look() nor Settle() waits for them (measure/engine/notices.h). Thread-safe.
#pragma once

#include <atomic>
#include <optional>
#include <set>
#include <vector>

#include "base/mutex.h"
#include "measure/engine/engine.h"
#include "measure/engine/notices.h"
#include "measure/policy/configuration.h"
#include "measure/policy/interpreters.h"
#include "measure/policy/policy.h"
#include "measure/system/file.h"

namespace assay::measure {

// Whether it is ELF that can be loaded, a #! script, or has one of the extensions.
bool LooksLikeCode(int fd, ElfKind elf, const std::string& path, const std::vector<std::string>& extensions);

struct Hook {
  Func func;
  std::uint8_t access;  // of Access
};

struct Use {
  std::string path;
  std::vector<Hook> hooks;  // the hooks of this use; a rule for any of them applies
  Facts facts{};
  Ruling ruling{};
  Reading reading = Reading::kData;  // for an open, if the policy asks for it
  bool configured = false;           // its opener reads it as configuration, and not as code
  std::string Name() const { return configured ? ConfigurationName(path) : path; }  // in the list
};

// The task that opens a file. A program is an interpreter, a reader of configuration, or neither.
struct Opener {
  Interpreter program = Interpreter::kUnknown;
  Reader reader = Reader::kNone;
  bool marks_only = false;  // ReadingOfMarks() says what is code, not ReadingOf()
  std::optional<std::string_view> words{};
  bool words_cut = false, path_holds = false, own_output = false;  // as in Opened
  // path: of the program; empty: it is not known.
  void SetProgram(std::string_view path) {
    path = PlaceOf(path);
    program = path.empty() ? Interpreter::kUnknown : InterpreterNamed(path);
    reader = program == Interpreter::kNone ? ReaderNamed(path) : Reader::kNone;
  }
};

class Rules {
 public:
  // notices: those of the engine, which outlive a policy; null: the object makes its own.
  explicit Rules(const RulesOptions& options, std::shared_ptr<Notices> notices = nullptr);
  // fd: -1 for content that is not a file (a buffer, a BPF program), which counts as code. elf: the kind of
  // the file, if the caller has already looked. opener: null if the file is not opened for reading.
  Use Look(int fd, std::string path, const Task& task, std::vector<Hook> hooks,
           std::optional<ElfKind> elf = std::nullopt, const Opener* opener = nullptr) const;
  // digest: null if the content is not known or may still change. Returns whether the file may be used.
  bool Settle(Use& use, const Digest* digest, const Context& context);
  // Whether the ruling holds until the file changes, for other tasks and other hooks too.
  bool Lasting(const Use& use) const;
  const Policy& policy() const { return *policy_; }
  bool NeedsOpener() const { return (policy_->needs() & (kNeedInterpreted | kNeedConfiguration)) != 0; }
  std::uint64_t refused() const { return refused_; }

 private:
  Ruling RuleAll(const Use& use) const;
  void LookAtConfiguration(Use& use, const Opener& opener) const;
  bool IsNew(const std::string& path, const Digest* digest);
  void Tell(std::string_view operation, const Use& use, const Digest* digest, const Context& context,
            bool success) const;

  std::shared_ptr<const Policy> policy_;
  std::vector<std::string> extensions_;
  dev_t measured_device_;
  Appraise appraise_;
  std::function<bool(const Digest&)> known_;
  std::shared_ptr<Notices> notices_;
  std::atomic<std::uint64_t> refused_{0};
  Mutex mutex_;
  std::set<std::size_t> told_ ASSAY_GUARDED_BY(mutex_);  // hashes of path and digest
};

}  // namespace assay::measure
