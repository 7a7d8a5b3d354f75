#include "attest/callers.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/log_event.h"
#include "evidence/errors.h"

namespace assay::attest {
namespace {

constexpr std::uint64_t kHourMs = 3'600'000, kMinuteMs = 60'000;

void Log(const Caller& c, std::uint64_t questions, const std::optional<evidence::Refusal>& refusal,
         bool ordinary) {
  const std::string who = c.over == "tls" ? "verifier " + c.name : c.name + " of this machine";
  const std::string count =
      questions > 1 ? fmt::format(" ({} questions since the last line)", questions) : "";
  std::vector<log::Field> fields{{"verifier", c.name}, {"over", c.over}};
  if (!refusal) {
    fields.push_back({"level", std::string(evidence::LevelName(*c.level))});
    log::WriteEvent(
        log::Level::kInfo, "challenge-answered", fields,
        fmt::format("challenge: {} is answered, level {}{}", who, evidence::LevelName(*c.level), count));
    return;
  }
  fields.push_back({"code", c.outcome});
  const std::string why =
      refusal->code == evidence::RefusalCode::kForbidden
          ? fmt::format(
                "its certificate is not in serve/allow; to allow it, add \"{}\": \"full\" there and reload",
                c.name)
          : fmt::format("{}: {}", c.outcome, refusal->message);
  log::WriteEvent(ordinary ? log::Level::kInfo : log::Level::kWarn, "challenge-refused", fields,
                  fmt::format("challenge: {} is refused: {}{}", who, why, count));
}

}  // namespace

bool Callers::MayLog(Kept& kept, bool is_new, bool changed) {
  const std::uint64_t now = kept.caller.last_ms;
  if (!is_new && !changed && now - std::min(now, kept.logged_ms) < kHourMs) return false;
  if (is_new) {
    if (now / kMinuteMs != minute_) {
      minute_ = now / kMinuteMs;
      new_in_minute_ = 0;
    }
    if (++new_in_minute_ > kNewPerMinute) return false;
  }
  kept.logged_ms = now;
  return true;
}

void Callers::Note(const Who& who, const std::optional<evidence::Refusal>& refusal, bool ordinary) {
  const std::string outcome = refusal ? std::string(ErrorCode::Of(refusal->code).name()) : "answered";
  Caller to_log;
  std::uint64_t questions = 0;
  {
    const MutexLock lock(mutex_);
    auto at = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) {
      return k.caller.name == who.name && k.caller.over == who.over;
    });
    const bool is_new = at == kept_.end();
    if (is_new) {
      kept_.emplace_front().caller.name = who.name;
      kept_.front().caller.over = who.over;
      if (kept_.size() > kMax) kept_.pop_back();
    } else {
      kept_.splice(kept_.begin(), kept_, at);
    }
    Kept& kept = kept_.front();
    Caller& c = kept.caller;
    const bool changed = c.outcome != outcome || c.level != who.level;
    c.level = who.level;
    c.outcome = outcome;
    c.last_ms = NowMs();
    ++(refusal ? c.refused : c.answered);
    ++kept.since_logged;
    if (!MayLog(kept, is_new, changed)) return;
    questions = std::exchange(kept.since_logged, 0);
    to_log = c;
  }
  Log(to_log, questions, refusal, ordinary);
}

std::vector<Caller> Callers::All() const {
  const MutexLock lock(mutex_);
  std::vector<Caller> all;
  all.reserve(kept_.size());
  for (const Kept& k : kept_) all.push_back(k.caller);
  return all;
}

}  // namespace assay::attest
