#include "base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log_event.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace assay::log {
namespace {

// Source: systemd.exec(5), JOURNAL_STREAM: "device:inode" of the stream that a service's stderr was.
bool StderrIsJournal() {
  const char* stream = getenv("JOURNAL_STREAM");
  struct stat st{};
  if (stream == nullptr || fstat(STDERR_FILENO, &st) != 0) return false;
  return fmt::format("{}:{}", st.st_dev, st.st_ino) == stream;
}

// Source: sd-daemon(3), syslog(3).
int PriorityOf(Level level) {
  constexpr int kError = 3, kWarning = 4, kInfo = 6, kDebug = 7;
  return level == Level::kDebug  ? kDebug
         : level == Level::kInfo ? kInfo
         : level == Level::kWarn ? kWarning
                                 : kError;
}

struct Message {
  std::string line;
  std::string datagram;  // the same for journald's socket; empty: it goes to the sink
  std::size_t size() const { return line.size() + datagram.size(); }
};

struct Entry {
  Message message;                 // an empty line: only the number of dropped messages is to be written
  std::uint64_t dropped_before{};  // dropped between the line before and this one
};

struct Sink {
  std::atomic<Level> level{Level::kInfo};
  std::atomic<bool> json{false};
  std::atomic<int> fd{STDERR_FILENO};  // its number never changes, because a thread may hang in it
  std::atomic<int> file_fd{-1};        // the log file's descriptor, once there was a log file
  std::atomic<bool> to_journal{StderrIsJournal()};  // itself, or through /dev/kmsg

  Mutex mutex;  // never held over a call that may wait once there is a writer
  CondVar filled, drained;
  std::deque<Entry> queue ASSAY_GUARDED_BY(mutex);
  std::size_t bytes ASSAY_GUARDED_BY(mutex) = 0;         // the size of the queue's messages
  bool has_writer ASSAY_GUARDED_BY(mutex) = false;       // a thread takes messages from the queue
  bool is_writing ASSAY_GUARDED_BY(mutex) = false;       // that thread writes a message at present
  std::uint64_t dropped ASSAY_GUARDED_BY(mutex) = 0;     // ever
  std::uint64_t not_queued ASSAY_GUARDED_BY(mutex) = 0;  // dropped since the last line was queued

  bool Idle() const ASSAY_REQUIRES(mutex) { return queue.empty() && !is_writing && not_queued == 0; }
  void Push(Message message) ASSAY_REQUIRES(mutex);
  Entry Take() ASSAY_REQUIRES(mutex);
  [[noreturn]] void WriteLoop();
};
Sink& Get() {
  static Sink* sink = new Sink;  // never destroyed: threads may log while the process ends
  return *sink;
}

std::string_view NameOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warning";
    case Level::kError:
      return "error";
    case Level::kOff:
      return "off";
  }
  return "";
}

// Control characters become \u00XX in both forms, so that a path in a message can't begin a line of its own.
std::string Escape(std::string_view s, bool json) {
  std::string out;
  out.reserve(s.size());
  for (char c : s) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else if (json && (c == '"' || c == '\\')) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

// members: more of a JSON object, each with a comma before it.
std::string Line(Level level, std::string_view message, std::string_view members = "") {
  const std::string time = TimeText(NowMs());
  const bool json = Get().json;
  const std::string text = Escape(message, json);
  const std::string priority = Get().to_journal ? fmt::format("<{}>", PriorityOf(level)) : "";
  if (!json && !priority.empty()) return fmt::format("{}{}\n", priority, text);
  if (!json) return fmt::format("{} {} {}\n", time, NameOf(level), text);
  return priority + fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"msg\":\"{}\"{}}}\n", time,
                                NameOf(level), text, members);
}

std::string MembersOf(std::string_view event, const std::vector<Field>& fields) {
  std::string out = fmt::format(",\"event\":\"{}\"", event);
  for (const Field& f : fields) out += fmt::format(",\"{}\":\"{}\"", f.name, Escape(f.value, true));
  return out;
}

// A value with a line feed goes with its size in front, so that a path can't write a field of its own.
void AddJournalField(std::string* out, std::string_view name, std::string_view value) {
  *out += name;
  if (value.find('\n') == std::string_view::npos) {
    *out += '=';
  } else {
    *out += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8)
      *out += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift);
  }
  *out += value;
  *out += '\n';
}

// The socket is made for each event: they are rare, and journald may have been started anew. False also
// where there is no journald.
bool SendToJournal(std::string_view datagram) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un to{.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
  return fd &&
         sendto(fd.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == static_cast<ssize_t>(datagram.size());
}

// Writes a line by one write() if the sink takes it whole, because /dev/kmsg makes a record of each write.
bool WriteLine(std::string_view line) {
  const int fd = Get().fd;
  while (!line.empty()) {
    const ssize_t n = ::write(fd, line.data(), line.size());
    if (n >= 0) {
      line.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {  // another process may have made the descriptor non-blocking
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      static_cast<void>(poll(&wait, 1, -1));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool WriteMessage(const Message& message) {
  return (!message.datagram.empty() && SendToJournal(message.datagram)) || WriteLine(message.line);
}

bool WriteDropped(std::uint64_t count) {
  return count == 0 || !Enabled(Level::kWarn) ||
         WriteLine(Line(Level::kWarn, fmt::format("{} message(s) were dropped before this line", count)));
}

void Sink::Push(Message message) {
  if (queue.size() >= kMaxQueued || bytes + message.size() > kMaxQueuedBytes) {
    ++dropped;
    ++not_queued;
    return;
  }
  bytes += message.size();
  queue.push_back({.message = std::move(message), .dropped_before = std::exchange(not_queued, 0)});
  filled.NotifyOne();
}

// Messages are dropped when the queue is full, so the dropped ones belong after its last entry.
Entry Sink::Take() {
  is_writing = false;
  if (Idle()) drained.NotifyAll();
  while (queue.empty() && not_queued == 0) filled.Wait(mutex);
  is_writing = true;
  if (queue.empty()) return {.message = {}, .dropped_before = std::exchange(not_queued, 0)};
  Entry entry = std::move(queue.front());
  queue.pop_front();
  bytes -= entry.message.size();
  return entry;
}

void Sink::WriteLoop() {
  std::uint64_t failed = 0;  // lines that the sink has refused since the last one that it took
  MutexLock lock(mutex);
  while (true) {
    const Entry entry = Take();
    lock.Unlock();
    const std::uint64_t before = entry.dropped_before + failed;
    const bool told = WriteDropped(before);
    const bool has_line = !entry.message.line.empty();
    const bool written = told && WriteMessage(entry.message);
    failed = (told ? 0 : before) + (written || !has_line ? 0 : 1);
    lock.Lock();
    if (!written && has_line) ++dropped;
  }
}

void Put(Message message) {
  Sink& s = Get();
  const MutexLock lock(s.mutex);
  if (s.has_writer)
    s.Push(std::move(message));
  else if (!WriteMessage(message))
    ++s.dropped;
}

// Around a fork() the mutex is held, so that the child finds it free. The child has no writer thread.
void BeforeFork() ASSAY_NO_THREAD_SAFETY_ANALYSIS { Get().mutex.Lock(); }
void AfterFork() ASSAY_NO_THREAD_SAFETY_ANALYSIS { Get().mutex.Unlock(); }
void AfterForkInChild() ASSAY_NO_THREAD_SAFETY_ANALYSIS {
  Sink& s = Get();
  s.has_writer = s.is_writing = false;
  s.queue.clear();
  s.bytes = s.not_queued = 0;
  s.mutex.Unlock();
}

}  // namespace

Result<> Init(const Options& options) {
  Sink& s = Get();
  if (!options.file.empty()) {
    if (const auto slash = options.file.rfind('/'); slash != std::string::npos && slash > 0)
      ASSAY_TRY(MakeDirs(options.file.substr(0, slash), 0755));
    // A FIFO that is opened to read as well needs no reader, and keeps what it holds until one comes.
    struct stat st{};
    const bool fifo = stat(options.file.c_str(), &st) == 0 && S_ISFIFO(st.st_mode);
    ASSAY_ASSIGN(UniqueFd file,
                 Open(options.file, (fifo ? O_RDWR : O_WRONLY | O_CREAT | O_APPEND) | O_NOCTTY, 0644));
    // The new file gets the number of the former one, so that no file is left open. A thread that hangs in
    // the former file keeps it until its write returns.
    if (s.file_fd < 0)
      s.file_fd = file.Release();
    else if (dup3(file.get(), s.file_fd, O_CLOEXEC) < 0)
      return Fail(OsError("dup3", options.file, errno));
    s.fd = s.file_fd.load();
    s.to_journal = options.file == "/dev/kmsg";  // journald reads that, but without fields
  } else {
    s.fd = STDERR_FILENO;
    s.to_journal = StderrIsJournal();
  }
  s.level = options.level;
  s.json = options.json;
  return {};
}

bool ToStderr() { return Get().fd == STDERR_FILENO; }

void StartWriter() {
  Sink& s = Get();
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(BeforeFork, AfterFork, AfterForkInChild); });
  const MutexLock lock(s.mutex);
  if (std::exchange(s.has_writer, true)) return;
  // This thread must not receive the signals of the process.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Thread("log-writer", [&s] { s.WriteLoop(); }).Detach();  // it may hang in the sink when the process ends
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool Drain(std::chrono::milliseconds patience) {
  Sink& s = Get();
  const MutexLock lock(s.mutex);
  if (!s.has_writer) return true;
  return s.drained.WaitFor(s.mutex, patience, [&s]() ASSAY_REQUIRES(s.mutex) { return s.Idle(); });
}

Backlog State() {
  Sink& s = Get();
  const MutexLock lock(s.mutex);
  return {.waiting = s.queue.size() + (s.is_writing ? 1 : 0), .dropped = s.dropped};
}

bool Enabled(Level level) { return level >= Get().level.load(std::memory_order_relaxed); }

void Write(Level level, std::string_view message) {
  if (level != Level::kOff) Put({.line = Line(level, message), .datagram = ""});
}

void WriteEvent(Level level, std::string_view event, const std::vector<Field>& fields,
                std::string_view message) {
  if (level == Level::kOff || !Enabled(level)) return;
  Put({.line = Line(level, message, MembersOf(event, fields)),
       .datagram = Get().to_journal ? JournalDatagram(level, event, fields, message) : ""});
}

std::string JournalDatagram(Level level, std::string_view event, const std::vector<Field>& fields,
                            std::string_view message) {
  std::string out;
  AddJournalField(&out, "MESSAGE", Escape(message, false));
  AddJournalField(&out, "PRIORITY", std::to_string(PriorityOf(level)));
  AddJournalField(&out, "SYSLOG_IDENTIFIER", program_invocation_short_name);
  AddJournalField(&out, "ASSAY_EVENT", event);
  for (const Field& f : fields) {
    std::string name = "ASSAY_";
    for (const char c : f.name) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    AddJournalField(&out, name, f.value);
  }
  return out;
}

}  // namespace assay::log
