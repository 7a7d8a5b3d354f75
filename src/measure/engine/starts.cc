#include "measure/engine/starts.h"

#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_dump.h"
#include "base/log.h"

namespace assay::measure {
namespace {

// An event may be read long after its time, when the recorder waits for the TPM.
constexpr std::uint64_t kKept = 60'000'000'000;
constexpr std::size_t kMaxHookName = 32;
constexpr std::size_t kMaxOfOne = 8;      // announcements of one process
constexpr std::size_t kMaxTold = 16'384;  // programs; beyond that they are told again

}  // namespace

bool IsHookName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxHookName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::uint64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

void RecordUnannounced(const Unannounced& u, Recorder& recorder) {
  nlohmann::json record{{"path", u.start.path}, {"hook", u.start.hook}};
  if (u.start.digest) record["digest"] = u.start.digest->ToString();
  if (!u.said.empty()) record["said"] = u.said;
  log::Warn("{} (pid {}) was started without its hook '{}'", u.start.path, u.start.process, u.start.hook);
  if (const auto r =
          recorder.RecordBuffer("assay-uninstrumented", AsBytes(DumpJson(record)), u.start.context);
      !r)
    log::Error("{}: {}", u.start.path, r.error().Message());
}

void Starts::Started(Start start) {
  const MutexLock lock(mutex_);
  begun_.emplace(start.process, start.at_ns);
  waiting_.push_back(std::move(start));
  if (waiting_.size() <= bound_) return;
  ++early_;
  JudgeOldest(over_);
}

void Starts::Announced(pid_t process, std::string_view hook, std::uint64_t now_ns) {
  const MutexLock lock(mutex_);
  std::deque<Announcement>& of = said_[process];
  // Once for each hook would do; a program that says more loses what it said first.
  if (of.size() == kMaxOfOne) of.pop_front();
  of.push_back({now_ns, std::string(hook)});
  order_.emplace_back(now_ns, process);
  if (order_.size() > bound_) Forget(order_[order_.size() - bound_].first);
}

void Starts::Forget(std::uint64_t before_ns) {
  for (; !order_.empty() && order_.front().first < before_ns; order_.pop_front()) {
    const auto of = said_.find(order_.front().second);
    if (of == said_.end()) continue;
    while (!of->second.empty() && of->second.front().at_ns < before_ns) of->second.pop_front();
    if (of->second.empty()) said_.erase(of);
  }
}

void Starts::Judge(const Start& start, std::vector<Unannounced>& into) {
  // When this process executed another of these programs.
  const auto after = begun_.upper_bound({start.process, start.at_ns});
  const std::uint64_t next =
      after != begun_.end() && after->first == start.process ? after->second : UINT64_MAX;
  Unannounced found{.start = start, .said = {}};
  if (const auto of = said_.find(start.process); of != said_.end()) {
    for (const Announcement& a : of->second) {
      if (a.at_ns < start.at_ns || a.at_ns >= next) continue;
      if (a.hook == start.hook) return;
      found.said = a.hook;
    }
  }
  if (told_.size() == kMaxTold) told_.clear();
  const std::string digest = start.digest ? start.digest->ToString() : "";
  if (told_.insert(start.path + '\n' + digest + '\n' + start.hook + '\n' + found.said).second)
    into.push_back(std::move(found));
}

void Starts::JudgeOldest(std::vector<Unannounced>& into) {
  const Start start = std::move(waiting_.front());
  waiting_.pop_front();
  Judge(start, into);
  begun_.erase({start.process, start.at_ns});
}

std::vector<Unannounced> Starts::Due(std::uint64_t now_ns) {
  const MutexLock lock(mutex_);
  std::vector<Unannounced> due = std::exchange(over_, {});
  while (!waiting_.empty() && waiting_.front().at_ns + patience_ <= now_ns) JudgeOldest(due);
  if (now_ns > patience_ + kKept) Forget(now_ns - patience_ - kKept);
  return due;
}

std::vector<Unannounced> Starts::Rest() {
  const MutexLock lock(mutex_);
  std::vector<Unannounced> rest = std::exchange(over_, {});
  for (const Start& start : waiting_)
    if (kill(start.process, 0) != 0 && errno == ESRCH) Judge(start, rest);
  waiting_.clear();
  begun_.clear();
  return rest;
}

std::uint64_t Starts::early() const {
  const MutexLock lock(mutex_);
  return early_;
}

}  // namespace assay::measure
