#include "measure/record/recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "measure/lists/list_stream.h"
#include "measure/record/recorder_impl.h"

namespace assay::measure {
namespace {

constexpr char kForeign[] = "recorder.pcr-foreign";
constexpr char kKexecName[] = "assay-kexec";

// Names of hooks: what is then a part of the kernel, or takes its place.
bool IsKexec(std::string_view hook) { return hook == "kexec" || hook == "initramfs"; }
bool IsForKernel(std::string_view hook) {
  return IsKexec(hook) || hook == "module" || hook == "bpf" || hook == "firmware" || hook == "policy" ||
         hook == "x509" || hook == "kernel";
}

}  // namespace

// After a disturbance: is the TPM back with the PCR that the list explains, and is there room to go on?
Result<> Recorder::Impl::Resume() {
  Result<Values> present = ReadPcr();
  if (!present) {
    ASSAY_TRY(tpm->Reconnect());
    present = ReadPcr();
  }
  ASSAY_TRY(present);
  const std::uint64_t end = End();
  if (ftruncate(list.get(), static_cast<off_t>(end)) != 0) return Fail(OsError("ftruncate", "list", errno));
  ASSAY_TRY(Reserve(end));
  if (tail && *present == values) {
    ASSAY_TRY(tpm->Extend(tpm::RawExtend::ForRecorder(), options.pcr, tail->extends));
  } else if (*present != (tail ? tail->next : values)) {
    const bool reset =
        std::all_of(present->begin(), present->end(), [](const Digest& v) { return v.AllBytes(0); });
    if (reset) return Fail(StateError("recorder.pcr-reset", "the TPM was reset: start anew"));
    return Fail(StateError(kForeign, "something else extended the PCR beside this list"));
  }
  if (tail) Settle();
  return {};
}

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Recorder::~Recorder() {
  {
    std::lock_guard open(impl_->grouping);
    impl_->stop = true;
  }
  impl_->group_opened.notify_all();
  if (impl_->timer.joinable()) impl_->timer.join();
  if (impl_->Degradation()) return;
  if (auto r = impl_->Flush(); !r) log::Error("recorder: at the end: {}", r.error().Message());
}

Result<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options, tpm::Tpm& tpm) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->tpm = &tpm;
  {
    std::lock_guard lock(impl->commit);
    ASSAY_TRY(impl->Start());
  }
  impl->timer = std::thread([raw = impl.get()] { raw->TimerLoop(); });
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

Result<Recorded> Recorder::Record(const Measurement& m) {
  Impl& d = *impl_;
  const bool kernels = IsForKernel(m.context.hook);
  const bool grouped = !d.options.synchronous && !kernels &&
                       (m.context.late || (d.options.known && d.options.known(m.digest)));
  const Key content = d.ContentKey(m.digest.view());
  const std::string& cgroup = m.context.cgroup;
  Result<Recorded> recorded =
      m.record == ima::Template::kNgCgroup
          ? d.Add(ima::TemplateName(m.record), ima::EncodeNgCgroup(m.digest, m.path, cgroup), false, grouped,
                  std::pair{d.PathKey(m.path, cgroup), content}, m.context, m.path, false)
          : d.Add(kNg, ima::EncodeNg(m.digest, m.path), false, grouped, std::pair{d.PathKey(m.path), content},
                  m.context, m.path, false);
  if (!recorded || !IsKexec(m.context.hook)) return recorded;
  // The image may have been measured before, as a file that somebody reads.
  const nlohmann::json kexec{{"hook", m.context.hook}, {"path", m.path}, {"digest", m.digest.ToString()}};
  const std::string text = kexec.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  ASSAY_TRY(RecordBuffer(kKexecName, AsBytes(text), m.context));
  return recorded;
}

Result<Recorded> Recorder::RecordViolation(Violation v, const std::string& path, const Context& context,
                                           const std::optional<Digest>& program) {
  Impl& d = *impl_;
  Context named = context;
  named.hook = ViolationName(v);
  const Digest none = Digest::Filled(d.options.list_bank, 0);
  if (program) return d.AddWithProgram({named.hook, path, *program}, named);
  const bool grouped = context.late && !d.options.synchronous;
  return d.Add(kNg, ima::EncodeNg(none, path), true, grouped, std::pair{d.PathKey(path), d.ContentKey({})},
               named, path, false);
}

Result<Recorded> Recorder::RecordBuffer(const std::string& name, ByteView buffer, const Context& context) {
  const Digest digest = Hash(impl_->options.list_bank, buffer);
  return impl_->Add(kBuf, ima::EncodeBuf(digest, name, buffer), false, false, std::nullopt, context, name,
                    name == kStartName);
}

Result<> Recorder::Flush() { return impl_->Flush(); }

RecorderState Recorder::State() const {
  const Impl& d = *impl_;
  std::lock_guard guard(d.look);
  RecorderState s;
  s.count = d.count;
  s.entries = d.entries;
  s.violations = d.violations;
  s.overflow = d.overflow;
  s.gaps = d.starts > 0 ? d.starts - 1 : 0;
  s.degraded = d.degraded.has_value();
  if (d.degraded) s.degraded_reason = d.degraded->code() + ": " + d.degraded->Message();
  s.list_bytes = d.bytes;
  s.journal_bytes = d.journal_bytes;
  for (std::size_t i = 0; i < d.banks.size(); ++i) s.pcr_values.emplace_back(d.banks[i], d.values[i]);
  return s;
}

Result<> Recorder::Quiesce(const std::function<Result<>(const RecorderState&)>& fn) {
  Impl& d = *impl_;
  std::lock_guard lock(d.commit);
  const std::optional<Error> reason = d.Degradation();
  const bool foreign = reason && reason->code() == kForeign;
  if (reason && !foreign) return Fail(Degraded(*reason));
  if (!foreign) {
    ASSAY_TRY(d.CommitGroup());
    // Growth of the kernel's own list beside ours, or anything else that extends our PCR, shows here at the
    // latest.
    const Result<Values> present = d.ReadPcr();
    if (!present) return Fail(d.Disturbed(present.error()));
    if (*present != d.values)
      static_cast<void>(d.Disturbed(
          StateError(kForeign, fmt::format("PCR {} is {}, the list makes it {}", d.options.pcr,
                                           (*present)[d.list_bank].hex(), d.values[d.list_bank].hex()))));
  }
  RecorderState s = State();
  s.checkpoints = d.checkpoints.All();
  return fn(s);
}

Result<> Recorder::Recover() {
  Impl& d = *impl_;
  std::vector<std::string> missed;
  std::uint64_t more = 0;
  {
    std::lock_guard lock(d.commit);
    std::lock_guard open(d.grouping);
    if (!d.Degradation()) return {};
    if (auto r = d.Resume(); !r) return Fail(d.Disturbed(r.error()));
    std::lock_guard guard(d.look);
    d.degraded.reset();
    missed.swap(d.missed);
    more = std::exchange(d.missed_more, 0);
  }
  if (more > 0) missed.push_back(fmt::format("({} more)", more));
  // What can't be recorded now, because the disturbance is back, is missed again by Add(), and said next
  // time.
  const Context context{.time_ms = 0, .pid = getpid(), .uid = 0, .comm = "assayd", .hook = ""};
  Result<> all;
  for (const std::string& path : missed)
    if (auto r = RecordViolation(Violation::kUnmeasurable, path, context); !r) all = Fail(r.error());
  return all;
}

Result<UniqueFd> Recorder::OpenList() const { return assay::Open(impl_->File("list"), O_RDONLY); }
Result<UniqueFd> Recorder::OpenJournal() const { return assay::Open(impl_->File("journal"), O_RDONLY); }

Result<std::uint64_t> Recorder::OffsetOf(std::uint64_t record) const {
  const Impl& d = *impl_;
  ListPlace from;
  std::uint64_t end = 0;
  {
    std::lock_guard guard(d.look);
    if (record > d.count) return Fail(UsageError("no such record yet"));
    if (record == d.count) return d.bytes;
    const std::uint64_t nearest = record / kOffsetStride;
    from = {.offset = d.offsets[nearest], .index = nearest * kOffsetStride};
    end = d.bytes;
  }
  ASSAY_ASSIGN(const UniqueFd fd, OpenList());
  ListStream stream(fd.get(), d.options.list_bank, from, end);
  while (stream.place().index < record) {
    ASSAY_ASSIGN(const std::optional<ima::RecordView> view, stream.Next());
    if (!view) return Fail(StateError("recorder.list", "the list ends early"));
  }
  return stream.place().offset;
}

int Recorder::GrowthFd() const { return impl_->growth.get(); }
const RecorderOptions& Recorder::options() const { return impl_->options; }
std::uint32_t Recorder::Pcr() const { return impl_->options.pcr; }
HashAlg Recorder::ListBank() const { return impl_->options.list_bank; }

}  // namespace assay::measure
