// Who asked, and what it got: lines for the log, and a table for `status`.
//
//   // given: const std::string& fingerprint
//   Callers callers;
//   callers.Note({fingerprint, "tls", evidence::Level::kFull}, std::nullopt);   // it was answered
//   for (const Caller& c : callers.All()) log::Info("{}: {} answers", c.name, c.answered);
//
// Contract: a caller has a line in the log at its first question, when its outcome changes, and once an hour
// while it goes on; so a verifier that asks each second fills no log. At most kMax callers are kept (the one
// that asked least recently is forgotten), and at most kNewPerMinute new ones have a line in one minute.
// Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "evidence/evidence.h"
#include "evidence/message.h"

namespace assay::attest {

struct Caller {
  std::string name;                      // the fingerprint of its certificate, or "user 1000"
  std::string over;                      // "tls" or "unix"
  std::optional<evidence::Level> level;  // how much it may see; none: it is not allowed
  std::uint64_t answered = 0, refused = 0;
  std::uint64_t last_ms = 0;  // of its last question, since the epoch
  std::string outcome = {};   // of its last question: "answered", or the refusal's name
};

class Callers {
 public:
  static constexpr std::size_t kMax = 64;
  static constexpr unsigned kNewPerMinute = 20;
  struct Who {
    std::string name, over;
    std::optional<evidence::Level> level;
  };
  // ordinary: a refusal that verifiers know how to go on from, which is no reason for a warning.
  void Note(const Who& who, const std::optional<evidence::Refusal>& refusal, bool ordinary = false);
  std::vector<Caller> All() const;  // the last first

 private:
  struct Kept {
    Caller caller;
    std::uint64_t logged_ms = 0, since_logged = 0;
  };
  bool MayLog(Kept& kept, bool is_new, bool changed) ASSAY_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::list<Kept> kept_ ASSAY_GUARDED_BY(mutex_);  // the last first
  std::uint64_t minute_ ASSAY_GUARDED_BY(mutex_) = 0;
  unsigned new_in_minute_ ASSAY_GUARDED_BY(mutex_) = 0;
};

}  // namespace assay::attest
