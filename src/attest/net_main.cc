// assay-net: the part of the attester that speaks to the network. It ends TLS, takes challenges apart, asks
// the privileged process and hands its answers on. Started by assayd only; man/assayd.8,
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
#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <thread>
#include <vector>

#include "attest/inner.h"
#include "attest/sandbox.h"
#include "channel/stream.h"
#include "channel/tls.h"

namespace assay::attest {
namespace {

constexpr int kControl = 3;  // the socket that the parent left open
constexpr std::size_t kMaxSetup = 4 << 20;
#ifdef ASSAY_SANITIZED  // whose own thread data would not fit
constexpr std::size_t kThreadStack = 8 << 20;
#else
constexpr std::size_t kThreadStack = 512 << 10;
#endif
constexpr int kNoMemoryMs = 100;  // pause when the machine can't give a descriptor
constexpr int kParentGone = 69;   // exit codes
constexpr int kFailed = 70;
constexpr std::chrono::milliseconds kPatience{1000};  // what a connection has before it may make room

using Clock = std::chrono::steady_clock;

struct Given {
  NetSetup setup;
  UniqueFd listener;
  std::vector<UniqueFd> ask;  // one for each slot
};

// The setup's memory file, the listening socket, the slots.
Result<Given> ReceiveSetup() {
  ASSAY_ASSIGN(std::vector<UniqueFd> fds, ReceiveDescriptors(kControl));
  if (fds.size() < 3) return Fail(StateError("net.setup", "descriptors are missing"));
  Given given;
  Bytes text(kMaxSetup);
  const ssize_t n = pread(fds[0].get(), text.data(), text.size(), 0);
  if (n < 0) return Fail(OsError("pread", "setup", errno));
  Result<NetSetup> setup = ParseNetSetup(ByteView(text).first(static_cast<std::size_t>(n)));
  explicit_bzero(text.data(), static_cast<std::size_t>(n));
  if (!setup) return Fail(setup.error());
  given.setup = std::move(*setup);
  if (fds.size() != given.setup.slots + 2) return Fail(StateError("net.setup", "descriptors are missing"));
  given.listener = std::move(fds[1]);
  for (std::size_t i = 2; i < fds.size(); ++i) given.ask.push_back(std::move(fds[i]));
  return given;
}

// A place for one connection, with a thread of its own.
struct Slot {
  enum class Phase { kFree, kHearing, kAnswering };
  UniqueFd ask;
  std::mutex mutex;
  std::condition_variable changed;
  Phase phase = Phase::kFree;
  UniqueFd connection;  // put here for the thread, which also closes it
  Clock::time_point since;
};

class Net {
 public:
  Net(Given given, SslCtxPtr context)
      : given_(std::move(given)), context_(std::move(context)), slots_(given_.setup.slots) {
    for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i].ask = std::move(given_.ask[i]);
  }
  // They wait for their first connection, which does not come before Run(). Each has begun when this returns:
  // what a thread's own start needs of the kernel is not allowed later.
  void MakeThreads() {
    std::latch begun(static_cast<std::ptrdiff_t>(slots_.size()));
    for (Slot& slot : slots_)
      std::thread([this, &slot, &begun] {
        begun.count_down();
        Loop(slot);
      }).detach();
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

// The whole message, decoded here, where a fault in a parser harms the least.
Result<evidence::Question> Net::Hear(channel::TlsStream& tls, const channel::Deadline& deadline) const {
  ASSAY_ASSIGN(const Bytes frame,
               channel::ReceiveFrame([&](std::span<std::uint8_t> out) { return tls.Read(out, deadline); },
                                     evidence::kMaxChallenge));
  return evidence::DecodeQuestion(frame);
}

// The privileged process's answer, packet by packet. It is read to its end also when the peer is gone or too
// slow, so that the slot is clean for the next one.
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
    std::lock_guard lock(slot.mutex);
    slot.phase = Slot::Phase::kAnswering;
  }
  if (!question) {
    if (question.error().As<ParseError>() == nullptr && question.error().As<UsageError>() == nullptr)
      return Fail(question.error());  // no message, so nobody to tell
    return tls.Write(evidence::EncodeRefusal({"bad-request", question.error().Message()}), deadline);
  }
  NetRequest request;
  request.fingerprint = tls.peer();
  std::copy(tls.exporter().begin(), tls.exporter().end(), request.exporter.begin());
  request.question = std::move(*question);
  ASSAY_TRY(SendPacket(slot.ask.get(), EncodeNetRequest(request)));
  // The TPM's time is not the peer's: its own begins anew with the answer.
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
      std::unique_lock lock(slot.mutex);
      slot.changed.wait(lock, [&] { return static_cast<bool>(slot.connection); });
      slot.phase = Slot::Phase::kHearing;
      fd = slot.connection.get();
    }
    Serve(slot, fd);
    std::lock_guard lock(slot.mutex);
    slot.connection.Reset();
    slot.phase = Slot::Phase::kFree;
  }
}

bool Net::Place(UniqueFd& fd) {
  for (Slot& slot : slots_) {
    std::lock_guard lock(slot.mutex);
    if (slot.connection) continue;
    slot.connection = std::move(fd);
    slot.since = Clock::now();
    slot.changed.notify_all();
    return true;
  }
  return false;
}

// All slots are taken: the connection that has gone longest without saying what it wants gives way.
void Net::MakeRoom() {
  Slot* oldest = nullptr;
  for (Slot& slot : slots_) {
    std::lock_guard lock(slot.mutex);
    if (slot.phase != Slot::Phase::kHearing) continue;
    if (Clock::now() - slot.since < kPatience) continue;
    if (oldest == nullptr || slot.since < oldest->since) oldest = &slot;
  }
  if (oldest == nullptr) return;
  std::lock_guard lock(oldest->mutex);
  if (oldest->phase == Slot::Phase::kHearing) shutdown(oldest->connection.get(), SHUT_RDWR);
}

void Net::Run() {
  UniqueFd waiting;
  while (true) {
    pollfd wait[2] = {{.fd = kControl, .events = POLLIN, .revents = 0},
                      {.fd = given_.listener.get(), .events = POLLIN, .revents = 0}};
    poll(wait, waiting ? 1 : 2, waiting ? 20 : -1);
    if (wait[0].revents != 0) _exit(kParentGone);  // nothing more comes here but the end
    if (!waiting) {
      waiting.Reset(accept4(given_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!waiting && errno != EAGAIN && errno != ECONNABORTED) poll(nullptr, 0, kNoMemoryMs);
    }
    if (waiting && !Place(waiting)) MakeRoom();
  }
}

Result<> Report(const NetReport& report) { return SendPacket(kControl, EncodeNetReport(report)); }

// The attester must not be ended when memory is short; this process can be.
Result<> BeExpendable() {
  ASSAY_ASSIGN(const UniqueFd score, Open("/proc/self/oom_score_adj", O_WRONLY));
  return WriteAll(score.get(), AsBytes("500"));
}

Result<> RunNet() {
  // The configuration file could weaken what is promised here.
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
