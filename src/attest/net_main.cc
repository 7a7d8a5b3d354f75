// assay-net: the part of the attester that talks to the network. It terminates TLS, parses challenges, asks
// the privileged process and sends its answers to the peers. Only assayd starts it; man/assayd.8,
// docs/formats/challenge.md.
#include <fcntl.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <latch>
#include <thread>
#include <vector>

#include "attest/errors.h"
#include "attest/inner.h"
#include "attest/sandbox.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "channel/stream.h"
#include "channel/tls.h"
#include "evidence/errors.h"

namespace assay::attest {
namespace {

constexpr int kControl = 3;  // the socket that the parent left open
constexpr std::size_t kMaxSetup = 4 << 20;
#ifdef ASSAY_SANITIZED  // a sanitizer's thread data would not fit
constexpr std::size_t kThreadStack = 8 << 20;
#else
constexpr std::size_t kThreadStack = 512 << 10;
#endif
constexpr int kNoMemoryMs = 100;  // pause after the machine could not provide a descriptor
constexpr int kParentGone = 69;   // exit codes
constexpr int kFailed = 70;
// Time that a connection has before it may be closed for another one.
constexpr std::chrono::milliseconds kPatience{1000};

using Clock = std::chrono::steady_clock;

struct Given {
  NetSetup setup;
  UniqueFd listener;
  std::vector<UniqueFd> ask;  // one for each slot
};

// Receives one packet with all descriptors: the setup's memory file, the listening socket, the slots.
Result<Given> ReceiveSetup() {
  ASSAY_ASSIGN(std::vector<UniqueFd> fds, ReceiveDescriptors(kControl));
  if (fds.size() < 3) return Fail(StateError(NetError::kSetup, "descriptors are missing"));
  Given given;
  Bytes text(kMaxSetup);
  const ssize_t n = pread(fds[0].get(), text.data(), text.size(), 0);
  if (n < 0) return Fail(OsError("pread", "setup", errno));
  Result<NetSetup> setup = ParseNetSetup(ByteView(text).first(static_cast<std::size_t>(n)));
  explicit_bzero(text.data(), static_cast<std::size_t>(n));
  if (!setup) return Fail(setup.error());
  given.setup = std::move(*setup);
  if (fds.size() != given.setup.slots + 2)
    return Fail(StateError(NetError::kSetup, "descriptors are missing"));
  given.listener = std::move(fds[1]);
  for (std::size_t i = 2; i < fds.size(); ++i) given.ask.push_back(std::move(fds[i]));
  return given;
}

// A place for one connection, served by a thread of its own.
struct Slot {
  enum class Phase { kFree, kHearing, kAnswering };
  UniqueFd ask;
  Mutex mutex;
  CondVar changed;
  Phase phase ASSAY_GUARDED_BY(mutex) = Phase::kFree;
  UniqueFd connection ASSAY_GUARDED_BY(mutex);  // the connection for the thread, which also closes it
  Clock::time_point since ASSAY_GUARDED_BY(mutex);
};

class Net {
 public:
  Net(Given given, SslCtxPtr context)
      : given_(std::move(given)), context_(std::move(context)), slots_(given_.setup.slots) {
    for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].ask = std::move(given_.ask[i]);
  }
  // The threads wait for their first connection, which does not come before Run(). Every thread runs when
  // this function returns, because the system calls for starting a thread are forbidden later.
  void MakeThreads() {
    std::latch begun(static_cast<std::ptrdiff_t>(slots_.size()));
    for (Slot& slot : slots_)
      Thread("assay-net-slot", [this, &slot, &begun] {
        begun.count_down();
        Loop(slot);
      }).Detach();
    begun.wait();
  }
  [[noreturn]] void Run();

 private:
  [[noreturn]] void Loop(Slot& slot);
  void Serve(Slot& slot, int fd);
  Result<> Exchange(Slot& slot, channel::TlsStream& tls, channel::Deadline& deadline);
  Result<evidence::Question> Hear(channel::TlsStream& tls, const channel::Deadline& deadline) const;
  Result<> HandOn(Slot& slot, channel::TlsStream& tls, channel::Deadline& deadline) const;
  bool Place(UniqueFd& fd);
  void MakeRoom();

  Given given_;
  SslCtxPtr context_;
  std::deque<Slot> slots_;
};

// Receives a whole message and decodes it in this process, where a fault in a parser does the least harm.
Result<evidence::Question> Net::Hear(channel::TlsStream& tls, const channel::Deadline& deadline) const {
  ASSAY_ASSIGN(const Bytes frame,
               channel::ReceiveFrame([&](std::span<std::uint8_t> out) { return tls.Read(out, deadline); },
                                     evidence::kMaxChallenge));
  return evidence::DecodeQuestion(frame);
}

// Forwards the privileged process's answer packet by packet. The answer is read to its end even if the peer
// is gone or too slow, so that no rest of it is left in the slot.
Result<> Net::HandOn(Slot& slot, channel::TlsStream& tls, channel::Deadline& deadline) const {
  const Result<Bytes> head = ReceivePacket(slot.ask.get(), kNetRequestMax);
  if (!head) _exit(kParentGone);
  const Result<std::uint64_t> total = ParseNetAnswer(*head);
  if (!total) _exit(kParentGone);
  Result<> sent;
  for (std::uint64_t left = *total; left > 0;) {
    const Result<Bytes> piece = ReceivePacket(slot.ask.get(), kNetChunk);
    if (!piece || piece->size() > left) _exit(kParentGone);
    left -= piece->size();
    if (sent) sent = tls.Write(*piece, deadline);
  }
  return sent;
}

Result<> Net::Exchange(Slot& slot, channel::TlsStream& tls, channel::Deadline& deadline) {
  Result<evidence::Question> question = Hear(tls, deadline);
  {
    const MutexLock lock(slot.mutex);
    slot.phase = Slot::Phase::kAnswering;
  }
  if (!question) {
    if (question.error().As<ParseError>() == nullptr && question.error().As<UsageError>() == nullptr)
      return Fail(question.error());  // the peer sent no valid message, so it gets no answer
    return tls.Write(
        evidence::EncodeRefusal({evidence::RefusalCode::kBadRequest, question.error().Message()}), deadline);
  }
  NetRequest request;
  request.fingerprint = tls.peer();
  std::copy(tls.exporter().begin(), tls.exporter().end(), request.exporter.begin());
  request.question = std::move(*question);
  ASSAY_TRY(SendPacket(slot.ask.get(), EncodeNetRequest(request)));
  // The peer's deadline does not count the time of the TPM: it begins anew with the answer.
  pollfd answer{.fd = slot.ask.get(), .events = POLLIN, .revents = 0};
  poll(&answer, 1, -1);
  deadline = channel::Deadline(std::chrono::milliseconds(given_.setup.timeout_ms));
  return HandOn(slot, tls, deadline);
}

void Net::Serve(Slot& slot, int fd) {
  channel::Deadline deadline(std::chrono::milliseconds(given_.setup.timeout_ms));
  Result<channel::TlsStream> tls = channel::TlsStream::Accept(context_.get(), fd, deadline);
  if (tls && Exchange(slot, *tls, deadline)) tls->Close(deadline);
}

void Net::Loop(Slot& slot) {
  while (true) {
    int fd = -1;
    {
      const MutexLock lock(slot.mutex);
      while (!slot.connection) slot.changed.Wait(slot.mutex);
      slot.phase = Slot::Phase::kHearing;
      fd = slot.connection.get();
    }
    Serve(slot, fd);
    const MutexLock lock(slot.mutex);
    slot.connection.Reset();
    slot.phase = Slot::Phase::kFree;
  }
}

bool Net::Place(UniqueFd& fd) {
  for (Slot& slot : slots_) {
    const MutexLock lock(slot.mutex);
    if (slot.connection) continue;
    slot.connection = std::move(fd);
    slot.since = Clock::now();
    slot.changed.NotifyAll();
    return true;
  }
  return false;
}

// Called when all slots are taken: closes the oldest of the connections that have not yet sent their
// question.
void Net::MakeRoom() {
  Slot* oldest = nullptr;
  Clock::time_point since;
  for (Slot& slot : slots_) {
    const MutexLock lock(slot.mutex);
    if (slot.phase != Slot::Phase::kHearing) continue;
    if (Clock::now() - slot.since < kPatience) continue;
    if (oldest != nullptr && slot.since >= since) continue;
    oldest = &slot;
    since = slot.since;
  }
  if (oldest == nullptr) return;
  const MutexLock lock(oldest->mutex);
  if (oldest->phase == Slot::Phase::kHearing) shutdown(oldest->connection.get(), SHUT_RDWR);
}

void Net::Run() {
  UniqueFd waiting;
  while (true) {
    pollfd wait[2] = {{.fd = kControl, .events = POLLIN, .revents = 0},
                      {.fd = given_.listener.get(), .events = POLLIN, .revents = 0}};
    poll(wait, waiting ? 1 : 2, waiting ? 20 : -1);
    // The parent sends nothing more, so this is the end of the connection.
    if (wait[0].revents != 0) _exit(kParentGone);
    if (!waiting) {
      waiting.Reset(accept4(given_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!waiting && errno != EAGAIN && errno != ECONNABORTED) poll(nullptr, 0, kNoMemoryMs);
    }
    if (waiting && !Place(waiting)) MakeRoom();
  }
}

Result<> Report(const NetReport& report) { return SendPacket(kControl, EncodeNetReport(report)); }

// When memory is short the kernel should kill this process rather than the attester.
Result<> BeExpendable() {
  ASSAY_ASSIGN(const UniqueFd score, Open("/proc/self/oom_score_adj", O_WRONLY));
  return WriteAll(score.get(), AsBytes("500"));
}

Result<> RunNet() {
  // OpenSSL's configuration file could weaken the TLS settings.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  ASSAY_ASSIGN(Given given, ReceiveSetup());
  ASSAY_ASSIGN(SslCtxPtr context,
               channel::TlsServerContext({given.setup.certificate_pem, given.setup.key_pem}));
  explicit_bzero(given.setup.key_pem.data(), given.setup.key_pem.size());
  mallopt(M_ARENA_MAX, 2);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStack);
  if (const int error = pthread_setattr_default_np(&attributes); error != 0)
    return Fail(OsError("pthread_setattr_default_np", "", error));
  const NetSetup& s = given.setup;
  const unsigned slots = s.slots;
  ASSAY_TRY(BeExpendable());
  ASSAY_TRY(DropPrivileges(s.uid, s.gid, static_cast<pid_t>(s.parent)));
  ASSAY_ASSIGN(const std::uint32_t abi, ForbidFiles());
  Net net(std::move(given), std::move(context));
  net.MakeThreads();
  ASSAY_TRY(LimitResources(8 + 2 * slots));
  ASSAY_TRY(AllowOnlyServing());
  ASSAY_TRY(Report({.ready = true, .landlock_abi = abi, .text = ""}));
  net.Run();
}

}  // namespace
}  // namespace assay::attest

int main() {
  using namespace assay;
  signal(SIGPIPE, SIG_IGN);
  if (fcntl(attest::kControl, F_GETFD) < 0) {
    static constexpr std::string_view kText = "assay-net is started by assayd, not by hand\n";
    return write(STDERR_FILENO, kText.data(), kText.size()) < 0 ? attest::kFailed : 64;
  }
  const Result<> r = attest::RunNet();
  const Result<> told = attest::Report({.ready = false, .landlock_abi = 0, .text = r.error().Message()});
  _exit(told ? attest::kFailed : attest::kParentGone);
}
