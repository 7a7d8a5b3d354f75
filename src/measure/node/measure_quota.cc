#include "measure/node/measure_quota.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace assay::measure {
namespace {

constexpr std::size_t kMaxUsers = 65'536;
constexpr std::size_t kMaxCounted = 1024;  // users that are counted separately within a period

}  // namespace

std::string EncodeLimit(const LimitRecord& record, std::chrono::milliseconds period) {
  nlohmann::json j = {{"refused", record.refused}, {"period_ms", period.count()}};
  if (record.uids == 1)
    j["uid"] = record.uid;
  else
    j["users"] = record.uids;
  return j.dump();
}

bool MeasureQuota::Bucket::Fill(const QuotaRate& rate, Clock::time_point now) {
  if (filled != Clock::time_point()) {
    const double minutes = std::chrono::duration<double>(now - filled).count() / 60;
    tokens =
        std::min(static_cast<double>(rate.burst), tokens + minutes * static_cast<double>(rate.per_minute));
  }
  filled = now;
  return tokens >= 1 && taken < rate.share;
}

bool MeasureQuota::Take(uid_t uid, Clock::time_point now) {
  if (uid == 0) return true;
  auto at = users_.find(uid);
  // Further users have no bucket of their own.
  if (at == users_.end() && users_.size() < kMaxUsers)
    at = users_.emplace(uid, Bucket(options_.user.burst)).first;
  const bool own = at != users_.end() && at->second.Fill(options_.user, now);
  if (all_.Fill(options_.all, now) && own) {
    for (Bucket* b : {&at->second, &all_}) {
      b->tokens -= 1;
      ++b->taken;
    }
    return true;
  }
  if (refused_.empty() && refused_more_ == 0) period_since_ = now;
  if (refused_.size() < kMaxCounted || refused_.contains(uid))
    ++refused_[uid];
  else
    ++refused_more_;
  return false;
}

void MeasureQuota::GiveBack(uid_t uid) {
  const auto at = users_.find(uid);
  if (at == users_.end()) return;
  for (Bucket* b : {&at->second, &all_}) {
    b->tokens += 1;
    --b->taken;
  }
}

std::vector<LimitRecord> MeasureQuota::Due(Clock::time_point now, bool end) {
  std::vector<LimitRecord> records;
  const bool any = !refused_.empty() || refused_more_ > 0;
  if (!any || (!end && now - period_since_ < options_.period)) return records;
  for (const auto& [uid, refused] : refused_) records.push_back({.uids = 1, .refused = refused, .uid = uid});
  std::sort(records.begin(), records.end(),
            [](const LimitRecord& a, const LimitRecord& b) { return a.refused > b.refused; });
  LimitRecord rest{.uids = 0, .refused = refused_more_, .uid = 0};
  for (std::size_t i = kMaxNamed; i < records.size(); ++i) {
    ++rest.uids;
    rest.refused += records[i].refused;
  }
  if (records.size() > kMaxNamed) records.resize(kMaxNamed);
  if (rest.refused > 0) {
    // A lower bound, because further users were not counted separately.
    rest.uids = std::max<std::uint64_t>(rest.uids, 2);
    records.push_back(rest);
  }
  refused_.clear();
  refused_more_ = 0;
  return records;
}

}  // namespace assay::measure
