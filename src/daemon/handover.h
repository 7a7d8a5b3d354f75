// The way from a running attester to its successor: a process that this attester starts, which takes over its
// list, its run and its engine while no task passes unmeasured. docs/formats/handover.md
//
//   // given: const UniqueFd& measured, const std::string& program, const std::string& config_path
//   ASSAY_ASSIGN(Successor next, Successor::Start(measured, program, config_path));
//   ASSAY_ASSIGN(HandoverReceived loaded, next.link().Receive("loaded"));   // it has its configuration
//   ASSAY_TRY(next.link().Send({.step = "hold"}));                          // its engine holds tasks, too
//   ASSAY_ASSIGN(HandoverReceived holding, next.link().Receive("holding"));
//   next.Keep();                                                            // it goes on without us
//
// Contract: the attester can go back until it sends the message "take". Then the object's destructor kills
// the successor; no task is let go by that, because the attester holds each of them too. A side that can't go
// on sends its error instead of the next step. The messages contain the right to sign as this run, so they go
// through a socket pair: it has no name, and only the two processes have it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace assay::daemon {

inline constexpr std::uint64_t kHandoverFormat = 1;

struct HandoverMessage {
  std::uint64_t format = kHandoverFormat;
  std::string step;                   // "loaded", "hold", "helper", "marked", "holding", "take", "taken"
  std::string version = {};           // of the sender
  std::string code = {}, error = {};  // why the sender does not go on
  // Members of "hold": the settings that both must share, and what changed while the attester ran.
  std::string run_dir = {}, tcti = {}, scope = {}, name_space = {};
  std::uint64_t pcr = 0;
  bool kernel_log = false;  // the attester began in the initramfs, and its stderr leads nowhere
  std::string policy = {};  // the policy that was loaded since the start; empty: the configuration's
  std::uint64_t pid = 0;    // of "helper": a process of the successor's engine, before it is executed
  // Members of "take": the run. The message carries descriptors: the list's lock, then the sockets named
  // here.
  std::uint64_t handovers = 0, started_ms = 0;
  std::string unix_path = {}, listen = {};
  Bytes key_context = {}, key_auth = {}, key_public = {};  // empty: the run has no key
  friend bool operator==(const HandoverMessage&, const HandoverMessage&) = default;
};
std::string EncodeHandover(const HandoverMessage& message);
// ParseError "parse.handover"; an unknown format is one.
Result<HandoverMessage> ParseHandover(std::string_view text);

struct HandoverReceived {
  HandoverMessage message;
  std::vector<UniqueFd> fds;  // of "hold" and "take", as sent
};

class HandoverLink {
 public:
  explicit HandoverLink(UniqueFd socket = {}) : socket_(std::move(socket)) {}
  // The successor's end of the link. Its program's descriptor, which it inherits besides, is closed.
  static HandoverLink Inherited(int fd);
  Result<pid_t> Peer() const;  // in the successor: the process that has started it
  Result<> Send(const HandoverMessage& message, const std::vector<int>& fds = {}) const;
  // "handover.refused": the other side has ended, or says why it does not go on. "handover.silent": no
  // message came within `patience`. other: another step that may come instead.
  Result<HandoverReceived> Receive(std::string_view step, std::string_view other = {},
                                   std::chrono::milliseconds patience = std::chrono::seconds(30)) const;

 private:
  UniqueFd socket_;
};

class Successor {
 public:
  // Executes the file of the descriptor, which was measured; path: how it is called. The successor is a child
  // of this process's parent.
  static Result<Successor> Start(const UniqueFd& program, const std::string& path,
                                 const std::string& config_path);
  ~Successor();  // ends it, unless Keep() was called
  Successor(Successor&& other) noexcept
      : program_(std::move(other.program_)),
        link_(std::move(other.link_)),
        pid_(std::exchange(other.pid_, -1)) {}
  pid_t pid() const { return pid_; }
  int program() const { return program_.get(); }
  const HandoverLink& link() const { return link_; }
  void Keep() { pid_ = -1; }

 private:
  Successor() = default;
  UniqueFd program_;
  HandoverLink link_;
  pid_t pid_ = -1;
};

// Sends the signals that came during the handover on to the successor.
void PassSignals(int signals, pid_t successor);

// Waits until the process has ended, but not longer than `patience`.
void AwaitEnd(pid_t process, std::chrono::milliseconds patience);

// Ends a successor that does not take over, after it has told the attester why. The kernel lets go of the
// tasks that it held; the attester still holds them.
[[noreturn]] void ReportAndEnd(const Error& error, const HandoverLink& link);

// The path of this program. Another file may lie there by now: the one that a successor executes.
Result<std::string> OwnProgramPath();

}  // namespace assay::daemon
