#include "measure/record/recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/log_event.h"
#include "measure/lists/list_stream.h"
#include "measure/record/errors.h"
#include "measure/record/recorder_impl.h"
#include "measure/system/byte_code.h"
#include "measure/system/event_fields.h"

namespace assay::measure {
namespace {

constexpr char kKexecName[] = "assay-kexec";

// The hooks whose content becomes a part of the kernel, or takes its place.
bool IsKexec(std::string_view hook) { return hook == "kexec" || hook == "initramfs"; }
bool IsForKernel(std::string_view hook) {
  return IsKexec(hook) || hook == "module" || hook == "bpf" || hook == "firmware" || hook == "policy" ||
         hook == "x509" || hook == "kernel";
}

}  // namespace

Recorder::Impl::Impl(RecorderOptions options, tpm::Tpm& tpm)
    : options_(std::move(options)),
      tpm_(tpm),
      contents_(options_.max_records),
      ledger_(pcr_),
      group_(options_, files_) {}

Recorder::Impl::~Impl() {
  group_.Stop();
  timer_.Join();
  if (!health_.Good()) return;
  if (auto r = Flush(); !r) log::Error("recorder: at the end: {}", r.error().Message());
}

Content Recorder::Impl::ContentOf(const Measurement& m) const {
  const bool named = m.record == ima::Template::kNgCgroup;
  return contents_.OfFile(m.path, named ? std::optional<std::string_view>(m.context.cgroup) : std::nullopt,
                          m.digest.view());
}

Result<Recorded> Recorder::Impl::Record(const Measurement& m) {
  const bool named = m.record == ima::Template::kNgCgroup;
  NewRecord record{.record_template = named ? ima::Template::kNgCgroup : ima::Template::kNg,
                   .data = named ? ima::EncodeNgCgroup(m.digest, m.path, m.context.cgroup)
                                 : ima::EncodeNg(m.digest, m.path),
                   .content = ContentOf(m),
                   .path = m.path,
                   .context = m.context};
  const auto known = [&] { return m.known ? *m.known : options_.known && options_.known(m.digest); };
  if (!options_.synchronous && !IsForKernel(m.context.hook) && (m.context.late || known()))
    record.when = NewRecord::When::kInGroup;
  else if (m.code)
    record.beside = Beside(kByteCodeRecord, EncodeByteCode({m.path, m.digest, *m.code}), m.context);
  Result<Recorded> recorded = Add(record);
  if (!recorded || !IsKexec(m.context.hook)) return recorded;
  // The image may have been measured before, as a file that a process reads.
  const nlohmann::json kexec{{"hook", m.context.hook}, {"path", m.path}, {"digest", m.digest.ToString()}};
  const std::string text = kexec.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  ASSAY_TRY(RecordBuffer(kKexecName, AsBytes(text), m.context));
  return recorded;
}

Result<Recorded> Recorder::Impl::RecordViolation(Violation v, const std::string& path, const Context& context,
                                                 const std::optional<Digest>& program) {
  Context named = context;
  named.hook = ViolationName(v);
  Result<Recorded> recorded =
      program ? AddWithProgram({named.hook, path, *program}, named) : AddViolation(path, named);
  if (recorded && recorded->is_new) {
    std::vector<log::Field> fields = EventFields(path, named);
    fields.push_back({"violation", named.hook});
    if (program) fields.push_back({"program_digest", program->ToString()});
    log::WriteEvent(log::Level::kInfo, "violation", fields,
                    fmt::format("violation {}: {} (process {}, {}, user {})", named.hook, path, named.pid,
                                named.comm, named.uid));
  }
  return recorded;
}

Result<Recorded> Recorder::Impl::AddViolation(const std::string& path, const Context& named) {
  NewRecord record{.data = ima::EncodeNg(Digest::Filled(kFileHash, 0), path),
                   .meaning = Meaning::kViolation,
                   .content = contents_.OfViolation(path),
                   .path = path,
                   .context = named};
  if (named.late && !options_.synchronous) record.when = NewRecord::When::kInGroup;
  return Add(record);
}

Result<Recorded> Recorder::Impl::RecordBuffer(const std::string& name, ByteView buffer,
                                              const Context& context) {
  const Digest digest = Hash(kFileHash, buffer);
  return Add({.record_template = ima::Template::kBuf,
              .data = ima::EncodeBuf(digest, name, buffer),
              .meaning = name == kStartName ? Meaning::kStart : Meaning::kContent,
              .path = name,
              .context = context});
}

RecorderState Recorder::Impl::State() const {
  RecorderState s = ledger_.State();
  s.reset_count = resets_;
  s.restart_count = restarts_;
  if (const std::optional<Error> reason = health_.Reason()) {
    s.degraded = true;
    s.degraded_code = reason->code();
    s.degraded_reason = reason->code() + ": " + reason->Message();
  }
  return s;
}

Result<> Recorder::Impl::Quiesce(const std::function<Result<>(const RecorderState&)>& fn) {
  const MutexLock lock(commit_);
  const std::optional<Error> reason = health_.Reason();
  const auto by_others = [](const Error& e) {
    return e.Is(RecorderError::kPcrForeign) || e.Is(RecorderError::kPcrReset);
  };
  if (reason && !by_others(*reason)) return Fail(Degraded(*reason));
  if (!reason) {
    // At the latest this finds out that something else extends the PCR (the kernel's IMA, for example), or
    // that the TPM was reset.
    const Result<> looked = LookAtTpm();
    if (!looked) {
      const Error disturbed = health_.Disturb(looked.error());
      if (!by_others(looked.error())) return Fail(disturbed);
    } else {
      ASSAY_TRY(CommitGroup());
    }
  }
  RecorderState s = State();
  s.checkpoints = ledger_.CheckpointsSoFar();
  return fn(s);
}

Result<> Recorder::Impl::Recover() {
  RecorderHealth::Missed missed;
  {
    const MutexLock lock(commit_);
    const MutexLock open(group_.mutex);
    if (health_.Good()) return {};
    if (auto r = Resume(); !r) return Fail(health_.Disturb(r.error()));
    missed = health_.Mend();
  }
  if (missed.more > 0) missed.paths.push_back(fmt::format("({} more)", missed.more));
  // If the recorder is disturbed again, Add() notes the path again, and the next Recover() records it.
  const Context context{.time_ms = 0, .pid = getpid(), .uid = 0, .comm = "assayd", .hook = ""};
  Result<> all;
  for (const std::string& path : missed.paths)
    if (auto r = RecordViolation(Violation::kUnmeasurable, path, context, std::nullopt); !r)
      all = Fail(r.error());
  return all;
}

Result<std::uint64_t> Recorder::Impl::OffsetOf(std::uint64_t record) const {
  ASSAY_ASSIGN(const Ledger::Place place, ledger_.PlaceBefore(record));
  if (place.from.index == record) return place.from.offset;
  ListStream stream(files_.list(), pcr_.list_alg(), place.from, place.end);
  while (stream.place().index < record) {
    ASSAY_ASSIGN(const std::optional<ima::RecordView> view, stream.Next());
    if (!view) return Fail(StateError(RecorderError::kList, "the list ends early"));
  }
  return stream.place().offset;
}

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Recorder::~Recorder() = default;

Result<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options, tpm::Tpm& tpm) {
  auto impl = std::make_unique<Impl>(std::move(options), tpm);
  ASSAY_TRY(impl->Start(impl->options().lock));
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

std::unique_ptr<Recorder> Recorder::Await(RecorderOptions options, tpm::Tpm& tpm) {
  auto impl = std::make_unique<Impl>(std::move(options), tpm);
  impl->beginning().Await();
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

Result<> Recorder::Begin(std::shared_ptr<ListLock> lock, const std::function<Result<>()>& first) {
  return impl_->Begin(std::move(lock), first);
}

Result<Recorded> Recorder::Record(const Measurement& m) {
  ASSAY_TRY(impl_->beginning().Wait());
  return impl_->Record(m);
}
bool Recorder::Has(const Measurement& m) { return impl_->beginning().Wait() && impl_->Has(m); }
Result<Recorded> Recorder::RecordViolation(Violation v, const std::string& path, const Context& context,
                                           const std::optional<Digest>& program) {
  ASSAY_TRY(impl_->beginning().Wait());
  return impl_->RecordViolation(v, path, context, program);
}
Result<Recorded> Recorder::RecordBuffer(const std::string& name, ByteView buffer, const Context& context) {
  ASSAY_TRY(impl_->beginning().Wait());
  return impl_->RecordBuffer(name, buffer, context);
}
Result<> Recorder::Flush() {
  ASSAY_TRY(impl_->beginning().Wait());
  return impl_->Flush();
}
Result<> Recorder::Quiesce(const std::function<Result<>(const RecorderState&)>& fn) {
  ASSAY_TRY(impl_->beginning().Wait());
  return impl_->Quiesce(fn);
}
RecorderState Recorder::State() const { return impl_->State(); }
Result<> Recorder::Recover() {
  ASSAY_TRY(impl_->beginning().Wait());
  return impl_->Recover();
}
Result<UniqueFd> Recorder::OpenList() const { return assay::Open(impl_->files().Path("list"), O_RDONLY); }
Result<UniqueFd> Recorder::OpenJournal() const {
  return assay::Open(impl_->files().Path("journal"), O_RDONLY);
}
Result<std::uint64_t> Recorder::OffsetOf(std::uint64_t record) const { return impl_->OffsetOf(record); }
int Recorder::GrowthFd() const { return impl_->files().growth(); }
const RecorderOptions& Recorder::options() const { return impl_->options(); }
std::uint32_t Recorder::Pcr() const { return impl_->options().pcr; }
HashAlg Recorder::ListBank() const { return impl_->list_bank(); }

}  // namespace assay::measure
