#include "cli/watchdog.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "channel/errors.h"

namespace assay::cli {

Watchdog::Watchdog(const Session& session) {
  if (session.timeout.count() > 0) thread_ = Thread("assay-timeout", [this, session] { Wait(session); });
}

Watchdog::~Watchdog() {
  {
    const MutexLock lock(mutex_);
    done_ = true;
  }
  changed_.NotifyAll();
}

void Watchdog::Wait(Session session) {
  {
    const MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + session.timeout;
    if (changed_.WaitUntil(mutex_, end, [this]() ASSAY_REQUIRES(mutex_) { return done_; })) return;
  }
  session.Finish(Fail(StateError(channel::ChannelError::kTimeout,
                                 fmt::format("no answer within {} s", session.timeout.count()))));
  std::fflush(nullptr);
  _exit(session.exit_code);
}

void AddTimeout(Command sub, Session& session) {
  sub.AddOption("--timeout", session.timeout, "Seconds to wait for the attester")
      .InRange(1U, 86'400U)
      .ValueName("SECONDS");
}

}  // namespace assay::cli
