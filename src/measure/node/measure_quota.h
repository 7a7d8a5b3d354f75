// Internal: how many records each user may cause through the `measure` node.
//
//   MeasureQuota quota(options);
//   if (!quota.Take(uid, now)) ...       // EDQUOT; counted
//   if (!recorded.is_new) quota.GiveBack(uid);
//   for (const LimitRecord& r : quota.Due(now)) record(r);
//
// Contract: root is not limited. Each user has a bucket that fills by time, and a share of the list for as
// long as the list lives; so have all users together, since one person may have many numbers. What was
// refused is told once for each user and period, for at most `kMaxNamed` users; the rest is told as one.
// Bounded memory. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace assay::measure {

struct QuotaRate {
  std::uint64_t burst = 0;       // records at once
  std::uint64_t per_minute = 0;  // records
  std::uint64_t share = 0;       // of the list's records, ever
};

struct QuotaOptions {
  QuotaRate user{.burst = 256, .per_minute = 60, .share = 65'536};
  QuotaRate all{.burst = 1024, .per_minute = 240, .share = 262'144};
  std::chrono::milliseconds period{600'000};
};

// uids: how many users it speaks of; uid: which, when it is one.
struct LimitRecord {
  std::uint64_t uids = 0, refused = 0;
  uid_t uid = 0;
};
std::string EncodeLimit(const LimitRecord& record, std::chrono::milliseconds period);

class MeasureQuota {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMaxNamed = 8;
  explicit MeasureQuota(QuotaOptions options) : options_(options), all_(options.all.burst) {}
  bool Take(uid_t uid, Clock::time_point now);
  void GiveBack(uid_t uid);
  // What a period that is over has to tell; end: the one under way too.
  std::vector<LimitRecord> Due(Clock::time_point now, bool end = false);
  const QuotaOptions& options() const { return options_; }

 private:
  struct Bucket {
    explicit Bucket(std::uint64_t burst) : tokens(static_cast<double>(burst)) {}
    double tokens;
    std::uint64_t taken = 0;
    Clock::time_point filled{};
    bool Fill(const QuotaRate& rate, Clock::time_point now);  // whether one can be taken
  };

  QuotaOptions options_;
  Bucket all_;
  std::map<uid_t, Bucket> users_;
  std::map<uid_t, std::uint64_t> refused_;  // in this period
  std::uint64_t refused_more_ = 0;          // of users that are not named
  Clock::time_point period_since_{};
};

}  // namespace assay::measure
