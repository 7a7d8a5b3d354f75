// assay-served: watches one mount whose files another program or machine serves, for the attester, which
// starts it (served_process.h). It is not meant to be started by hand.
//
// Only this process has the mount's fanotify group, and it asks the attester to record what it measured. When
// the socket `life` ends, the attester stops or is dead: the process lets all tasks go and ends. It ignores
// the signals that end a service, because a thread that waits for a file server outlives a kill and keeps the
// group.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "base/log.h"
#include "base/mutex.h"
#include "measure/fanotify/fanotify_group.h"
#include "measure/fanotify/served_wire.h"

namespace {

using namespace assay;
using namespace assay::measure;

constexpr int kReportMs = 500;

class AttesterSink final : public MeasurementSink {
 public:
  explicit AttesterSink(HashAlg bank) : bank_(bank) {}

  Result<Recorded> Record(const Measurement& m) override {
    return Recording({.kind = SinkCall::Kind::kRecord,
                      .digest = m.digest,
                      .path = m.path,
                      .context = m.context,
                      .flag = m.record == ima::Template::kNgCgroup,
                      .code = m.code.value_or(Digest())});
  }
  Result<Recorded> RecordViolation(Violation violation, const std::string& path,
                                   const Context& context) override {
    return Recording({.kind = SinkCall::Kind::kViolation,
                      .digest = {},
                      .violation = violation,
                      .path = path,
                      .context = context});
  }
  Result<> Flush() override {
    ASSAY_TRY(Recording({.kind = SinkCall::Kind::kFlush, .digest = {}, .path = {}, .context = {}}));
    return {};
  }
  HashAlg Bank() const override { return bank_; }
  bool Known(const Digest& digest) {
    const Result<SinkReply> reply =
        Call({.kind = SinkCall::Kind::kKnown, .digest = digest, .path = {}, .context = {}});
    return reply && reply->ok && reply->yes;
  }
  void Refused(const Refusal& r) {
    const Result<SinkReply> told = Call({.kind = SinkCall::Kind::kRefused,
                                         .digest = r.digest,
                                         .path = r.path,
                                         .context = r.context,
                                         .flag = r.enforced});
    if (!told) log::Error("a refusal was not told: {}", told.error().Message());
  }

 private:
  Result<SinkReply> Call(const SinkCall& call) {
    const MutexLock lock(mutex_);
    ASSAY_TRY(SendPacketTo(kServedCallsFd, Encode(call)));
    ASSAY_ASSIGN(const Bytes packet, ReceivePacketFrom(kServedCallsFd));
    return ParseSinkReply(packet);
  }
  Result<Recorded> Recording(const SinkCall& call) {
    ASSAY_ASSIGN(const SinkReply reply, Call(call));
    if (!reply.ok) return Fail(ForwardedError(reply.code, reply.what));
    return Recorded{.is_new = reply.yes, .index = reply.index};
  }

  const HashAlg bank_;
  Mutex mutex_;  // one question at a time
};

Result<std::shared_ptr<FanotifyGroup>> StartGroup(const ServedSetup& setup, AttesterSink& sink) {
  ASSAY_ASSIGN(Policy policy, Policy::Parse(setup.policy));
  RulesOptions rules;
  rules.policy = std::make_shared<const Policy>(std::move(policy));
  rules.appraise = setup.appraise;
  rules.known = [&sink](const Digest& digest) { return sink.Known(digest); };
  rules.refused = [&sink](const Refusal& refusal) { sink.Refused(refusal); };
  rules.extensions = setup.extensions;
  rules.initramfs_device = setup.initramfs_device;
  auto group = std::make_shared<FanotifyGroup>(
      sink, rules, setup.limits,
      FanotifyGroupOptions{.filesystems = setup.filesystem, .served_device = setup.device});
  ASSAY_TRY(group->Start());
  if (const Result<> marked = group->Mark(setup.point); !marked) {
    group->Stop();
    return Fail(marked.error());
  }
  return group;
}

void Report(const Result<>& health, const EngineStats& stats, bool started) {
  ServedReport report{.started = started, .stats = stats};
  if (!health) {
    report.code = health.error().code();
    report.what = health.error().Message();
  }
  // If the socket is full, the attester does not read at present; the next report says the same.
  static_cast<void>(SendPacketTo(kServedLifeFd, Encode(report), MSG_DONTWAIT).has_value());
}

int Run() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGIO})
    signal(number, SIG_IGN);
  const Result<Bytes> packet = ReceivePacketFrom(kServedLifeFd);
  const Result<ServedSetup> setup = packet ? ParseServedSetup(*packet) : Fail(packet.error());
  if (!setup) {
    log::Error("assay-served: {}", setup.error().Message());
    return 1;
  }
  AttesterSink sink(setup->bank);
  const Result<std::shared_ptr<FanotifyGroup>> group = StartGroup(*setup, sink);
  if (!group) {
    Report(Fail(group.error()), {}, false);
    return 1;
  }
  pollfd life{.fd = kServedLifeFd, .events = POLLIN, .revents = 0};
  do {
    Report((*group)->Health(), (*group)->Stats(), true);
    life.revents = 0;
  } while (poll(&life, 1, kReportMs) == 0 || life.revents == 0);
  (*group)->Stop();
  Report({}, (*group)->Stats(), true);
  return 0;
}

}  // namespace

// The process ends by _exit(): a thread that hangs in the file system can't be waited for, and static objects
// must outlive it.
int main() { _exit(Run()); }
