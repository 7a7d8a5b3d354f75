#include "measure/lsm/measurer.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "measure/system/byte_code.h"
#include "measure/system/file.h"
#include "measure/system/task_names.h"

namespace assay::measure {
namespace {

// The flag by which the kernel's side remembers a file that is not code. What is data to one interpreter is
// data to all interpreters of its sort. Under a policy that asks about every open, that holds for no other
// program, so nothing is remembered.
std::uint32_t DataFlag(const Rules& rules, const Opener& opener) {
  if (!rules.NeedsOpener()) return ASSAY_ANSWER_DATA;
  if (!rules.policy().AsksInterpretersOnly()) return 0;
  return TakesAnyFile(opener.program) ? ASSAY_ANSWER_NO_SCRIPT : ASSAY_ANSWER_DATA;
}

}  // namespace

LsmMeasurer::LsmMeasurer(const LsmPrograms& programs, LsmStorage& storage, HeldTasks& tasks,
                         const HeldLimits& limits, Recorder& recorder, std::shared_ptr<Rules> rules,
                         bool enforced, Instrumented& instrumented)
    : programs_(programs),
      storage_(storage),
      tasks_(tasks),
      limits_(limits),
      recorder_(recorder),
      enforced_(enforced),
      instrumented_(instrumented),
      rules_(std::move(rules)) {}

void LsmMeasurer::Follow(std::shared_ptr<Rules> rules) {
  const MutexLock lock(mutex_);
  refused_before_ += rules_->refused();
  rules_ = std::move(rules);
}

std::shared_ptr<Rules> LsmMeasurer::CurrentRules() const {
  const MutexLock lock(mutex_);
  return rules_;
}

std::uint64_t LsmMeasurer::Refused() const {
  const MutexLock lock(mutex_);
  return refused_before_ + rules_->refused();
}

bool LsmMeasurer::MayHaveToBeKnown() const { return enforced_ && CurrentRules()->policy().Appraises(); }

void LsmMeasurer::Handle(const LsmTaskPtr& task) {
  if (task->kind() == ASSAY_BUFFER || task->kind() == ASSAY_BPF) {
    if (!tasks_.uses().Enter()) return;
    MeasureDigest(*task);
    tasks_.uses().Leave();
    return;
  }
  if (task->Has(ASSAY_UNJUDGED)) storage_.Judge(programs_);
  const Result<RequestedFile> file = OpenRequested(task->request, programs_);
  if (file) {
    MeasureFile(*task, *file);
    return;
  }
  if (task->late || !tasks_.uses().Enter()) return;
  const std::string path = task->Path();
  Finish(*task, recorder_.RecordViolation(Violation::kUnmeasurable, path, task->Describe()), 0, nullptr,
         path);
  tasks_.uses().Leave();
}

// The opener's kind is what the kernel's side knows already, else it is found by the program's name.
Opener LsmMeasurer::OpenerOf(LsmTask& task) const {
  const assay_request& r = task.request;
  Opener opener{.path_holds = task.Has(ASSAY_OUR_ROOT)};
  if ((r.detail & ASSAY_PROGRAM_READER) != 0) {
    opener.program = Interpreter::kNone;
    opener.reader = static_cast<Reader>(r.detail & ~ASSAY_PROGRAM_READER);
  } else {
    opener.program = static_cast<Interpreter>(r.detail & ~ASSAY_PROGRAM_ANY);
  }
  if (opener.program == Interpreter::kUnknown) {
    opener.SetProgram(ProgramOfTask(static_cast<pid_t>(r.tid)));
    task.program = WireOf(opener.program, opener.reader);
  }
  if (r.words_size != 0) opener.words = task.Words();
  opener.words_cut = task.Has(ASSAY_WORDS_CUT);
  opener.own_output = task.Has(ASSAY_WRITERS) && TakesAnyFile(opener.program) && HasOpen(r);
  return opener;
}

// Who loads the file, with what only a worker may look up.
Context LsmMeasurer::ContextOf(const LsmTask& task) {
  Context context = task.Describe();
  NameTask(static_cast<pid_t>(task.request.tid), context);
  context.script = ScriptOf(context.program, task.Words());
  return context;
}

LsmMeasurer::Doubts LsmMeasurer::DoubtsOf(const LsmTask& task, int fd) {
  Doubts doubts;
  doubts.writers = task.Has(ASSAY_WRITERS) || IsUnsealedMemory(fd);
  doubts.shared = !doubts.writers && task.Has(ASSAY_SHARED);
  doubts.pinned = doubts.shared && (task.Has(ASSAY_SERVED) || !DropPages(fd));
  return doubts;
}

Result<Digest> LsmMeasurer::HashFile(LsmTask& task, const RequestedFile& file) {
  std::uint64_t bytes = 0;
  Result<Digest> digest = HashFd(file.file.get(), kFileHash, &bytes, &task.late);
  tasks_.Count([bytes](EngineStats& stats) { stats.bytes_hashed += bytes; });
  if (digest && task.kind() == ASSAY_EXEC) NoteProgram(task, file, &*digest);
  return digest;
}

// What the kernel's side shall know of a program that is executed.
void LsmMeasurer::NoteProgram(LsmTask& task, const RequestedFile& file, const Digest* digest) {
  task.program = WireOf(interpreters_.Of(file.path, task.request.size, digest), ReaderNamed(file.path));
  const std::optional<std::size_t> at = instrumented_.Of(file.path, task.request.size, digest);
  task.start_hook = at ? ASSAY_HOOKS + static_cast<std::uint32_t>(*at) : ASSAY_HOOK_NONE;
}

void LsmMeasurer::MeasureFile(LsmTask& task, const RequestedFile& file) {
  const int fd = file.file.get();
  struct statx st{};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0)
    task.device = makedev(st.stx_dev_major, st.stx_dev_minor);
  const std::shared_ptr<Rules> rules = CurrentRules();
  const bool opened = task.kind() == ASSAY_OPEN;
  Opener opener;
  if (opened && rules->NeedsOpener()) opener = OpenerOf(task);
  Use use =
      rules->Look(fd, file.path, task.Waiter(), {task.hook()}, std::nullopt, opened ? &opener : nullptr);
  task.must_be_known = enforced_ && use.ruling.appraise;
  if (task.kind() == ASSAY_EXEC) NoteProgram(task, file, nullptr);
  if (use.ruling.any())
    SettleFile(task, file, use, *rules);
  else
    AnswerUnmeasured(task, opened && rules->Lasting(use) ? DataFlag(*rules, opener) : 0);
}

void LsmMeasurer::SettleFile(LsmTask& task, const RequestedFile& file, Use& use, Rules& rules) {
  const Doubts doubts = DoubtsOf(task, file.file.get());
  const Result<Digest> digest = HashFile(task, file);
  const std::optional<Digest> code =
      digest ? CodeDigestOfFd(file.file.get(), file.path, *digest) : std::nullopt;
  const MemoryHeaders headers = digest && (task.kind() == ASSAY_EXEC || task.kind() == ASSAY_MMAP)
                                    ? MemoryHeadersOf(file.file.get())
                                    : MemoryHeaders{};
  // If the hash was given up, the violation `unanswered` says so.
  if ((!digest && task.late) || !tasks_.uses().Enter()) return;
  const Context context = ContextOf(task);
  const bool firm = digest && !doubts.writers && !doubts.pinned;
  const bool allowed = rules.Settle(use, firm ? &*digest : nullptr, context);
  const std::uint32_t refusal = allowed ? 0 : ASSAY_ANSWER_REFUSE;
  if (!use.ruling.measure) {
    AnswerUnmeasured(task, refusal);
  } else if (!digest) {
    Finish(task, recorder_.RecordViolation(Violation::kUnmeasurable, use.Name(), context), refusal, nullptr,
           file.path);
    log::Warn("measuring {}: {}", file.path, digest.error().Message());
  } else {
    const Result<Recorded> recorded =
        RecordFile({*digest, use.Name(), context, use.ruling.record, use.facts.known, code}, doubts, headers,
                   task.kind() == ASSAY_EXEC);
    const std::uint32_t clean = (rules.Lasting(use) ? ASSAY_ANSWER_CLEAN : 0U) |
                                (doubts.shared && !doubts.pinned ? ASSAY_ANSWER_UNPINNED : 0U);
    Finish(task, recorded, allowed ? clean : refusal, &*digest, file.path);
  }
  tasks_.uses().Leave();
}

// The violations that belong to a file come before its record in the list.
Result<Recorded> LsmMeasurer::RecordFile(const Measurement& file, const Doubts& doubts,
                                         const MemoryHeaders& headers, bool exec) {
  const auto violation = [&](Violation v, const std::string& path) {
    return recorder_.RecordViolation(v, path, file.context);
  };
  if (doubts.writers) ASSAY_TRY(violation(Violation::kOpenWriters, file.path));
  if (doubts.pinned) ASSAY_TRY(violation(Violation::kSharedWritable, file.path));
  if (exec && headers.executable_stack) ASSAY_TRY(violation(Violation::kAnonymousCode, "stack:" + file.path));
  if (headers.executable_memory) ASSAY_TRY(violation(Violation::kAnonymousCode, "bss:" + file.path));
  if (doubts.writers || doubts.pinned) tasks_.Count([](EngineStats& stats) { ++stats.violations; });
  return recorder_.Record(file);
}

// Records content that the kernel's side has hashed already.
void LsmMeasurer::MeasureDigest(LsmTask& task) {
  const Context context = task.Describe();
  const std::string path = task.Path();
  const Result<Digest> digest = Digest::Of(HashAlg::kSha256, ByteView(task.request.digest));
  if (!digest || digest->AllBytes(0)) {
    Finish(task, recorder_.RecordViolation(Violation::kUnmeasurable, path, context), 0, nullptr, path);
    return;
  }
  const std::shared_ptr<Rules> rules = CurrentRules();
  Use use = rules->Look(-1, path, task.Waiter(), {task.hook()});
  const std::uint32_t flags = rules->Settle(use, &*digest, context) ? 0 : ASSAY_ANSWER_REFUSE;
  if (use.ruling.measure)
    Finish(task, recorder_.Record({*digest, path, context, use.ruling.record, use.facts.known}), flags,
           &*digest, path);
  else
    Answer(task, flags, nullptr);
}

// Records the content even if the load fails, because its code may have run. If the load succeeds,
// MeasureDigest() makes the same record.
void LsmMeasurer::RecordTaken(const assay_event& event, const Context& context) {
  const std::string path = "memory:" + context.hook;
  const Result<Digest> digest = Digest::Of(HashAlg::kSha256, ByteView(event.digest));
  if (!digest || digest->AllBytes(0)) {
    if (const auto r = recorder_.RecordViolation(Violation::kUnmeasurable, path, context); !r)
      log::Error("{}: {}", path, r.error().Message());
    return;
  }
  Task task{.tid = static_cast<pid_t>(event.tid), .uid = event.uid};
  if (!context.cgroup.empty()) task.cgroup = context.cgroup;
  const Use use = CurrentRules()->Look(-1, path, task, {HookOf(ASSAY_BUFFER, event.detail)});
  if (!use.ruling.measure) return;
  if (const auto r = recorder_.Record({*digest, path, context, use.ruling.record, use.facts.known}); !r)
    log::Error("{} is not recorded: {}", path, r.error().Message());
}

// Ends every measurement: it counts, and then answers.
void LsmMeasurer::Finish(LsmTask& task, const Result<Recorded>& recorded, std::uint32_t flags,
                         const Digest* digest, const std::string& path) {
  const bool refuse = (!recorded || digest == nullptr) && limits_.expiry == Expiry::kRefuse;
  tasks_.Count([&](EngineStats& stats) {
    if (!recorded)
      ++stats.errors;
    else if (digest == nullptr)
      ++stats.violations;
    else
      ++(recorded->is_new ? stats.measured : stats.clean);
  });
  const std::uint32_t if_recorded = recorded ? flags : flags & ASSAY_ANSWER_REFUSE;
  Answer(task, refuse ? ASSAY_ANSWER_REFUSE : if_recorded, recorded ? digest : nullptr);
  if (!recorded) log::Error("{} is not recorded: {}", path, recorded.error().Message());
}

void LsmMeasurer::AnswerUnmeasured(LsmTask& task, std::uint32_t flags) {
  Answer(task, flags, nullptr);
  tasks_.Count([](EngineStats& stats) { ++stats.not_code; });
}

void LsmMeasurer::Answer(LsmTask& task, std::uint32_t flags, const Digest* digest) {
  if (tasks_.Claim(task)) task.Answer(flags, digest);
}

}  // namespace assay::measure
