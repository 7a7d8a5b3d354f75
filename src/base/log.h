// Logging for programs and rooms: levels, one line a message, text or JSON to stderr or a file.
//
//   // given: const std::string& tcti
//   ASSAY_TRY(log::Init({.level = log::Level::kInfo, .json = true, .file = {}}));   // once, in main
//   log::Warn("tpm: {} is gone", tcti);
//   log::Drain(std::chrono::seconds(1));      // before the process ends
//
// Contract: messages are escaped (control characters, JSON), and Write() may be called from any thread.
// Before Init() they go to stderr as text, from level info on. Init() may be called again, also while threads
// log: it opens the file anew (a rotated log), and later messages go there.
//
// A line for the journal ($JOURNAL_STREAM names stderr, systemd.exec(5)) or for /dev/kmsg begins with its
// priority in brackets (sd-daemon(3): <3> error, <4> warning, <6> info, <7> debug) and has no time of its
// own.
//
// Before StartWriter() the caller writes its own message and waits for the sink. After it, Write() never
// waits: messages go through a queue of kMaxQueued messages and kMaxQueuedBytes bytes to a separate thread,
// and only that thread may hang in the sink. A message that finds the queue full is dropped and counted. When
// the sink takes lines again, a line in the place of the dropped messages says how many there were; the same
// is done for lines that could not be written (a full disk). Messages are given to no other program (no
// syslog); only events are (log_event.h), to journald.
//
// A child of fork() writes its own messages and none of its parent's. assay-net has no log; it reports to
// assayd.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay::log {

constexpr std::size_t kMaxQueued = 4096;
constexpr std::size_t kMaxQueuedBytes = std::size_t{1} << 20;

enum class Level { kDebug, kInfo, kWarn, kError, kOff };
struct Options {
  Level level = Level::kInfo;
  bool json = false;
  std::string
      file;  // appended to, and made where it is missing; may be a FIFO without a reader; empty: stderr
};
Result<> Init(const Options& options);
bool ToStderr();  // messages go there, and not to a file
void StartWriter();
// Waits until all queued messages are written, or `patience` is over. False: messages are left, and are lost
// if the process ends now.
bool Drain(std::chrono::milliseconds patience);

struct Backlog {
  std::uint64_t waiting = 0;  // messages, including the one that is being written
  std::uint64_t dropped = 0;  // since the start: the queue was full, or the sink failed
};
Backlog State();

void Write(Level level, std::string_view message);
bool Enabled(Level level);

template <typename... A>
void Debug(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, fmt::format(f, std::forward<A>(a)...));
}
template <typename... A>
void Info(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, fmt::format(f, std::forward<A>(a)...));
}
template <typename... A>
void Warn(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kWarn)) Write(Level::kWarn, fmt::format(f, std::forward<A>(a)...));
}
template <typename... A>
void Error(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kError)) Write(Level::kError, fmt::format(f, std::forward<A>(a)...));
}

}  // namespace assay::log
