// Internal: how many records each user may cause through the `measure` node.
//
//   // given: const QuotaOptions& options, uid_t uid, MeasureQuota::Clock::time_point now
//   MeasureQuota quota(options);
//   if (!quota.Take(uid, now)) return Fail(OsError("write", "measure", EDQUOT));   // the refusal is counted
//   for (const LimitRecord& r : quota.Due(now)) log::Info("{} refused", r.refused);
//
// Contract: root is not limited. Each user has a token bucket that fills with time, and a share of the list
// for as long as the list exists. All users together have such limits too, since one person may have many
// user ids. Refusals are reported once for each user and period, for at most `kMaxNamed` users; those of
// further users are reported as one number. Memory is bounded. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace assay::measure {

struct QuotaRate {
  std::uint64_t burst = 0;       // records in a burst
  std::uint64_t per_minute = 0;  // records
  std::uint64_t share = 0;       // records of the list, in all
};

struct QuotaOptions {
  QuotaRate user{.burst = 256, .per_minute = 60, .share = 65'536};
  QuotaRate all{.burst = 1024, .per_minute = 240, .share = 262'144};
  std::chrono::milliseconds period{600'000};
};

// uids: the number of users; uid: the user, if it is one.
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
  // Reports the refusals of a period that has ended; end: also those of the present period.
  std::vector<LimitRecord> Due(Clock::time_point now, bool end = false);
  const QuotaOptions& options() const { return options_; }

 private:
  struct Bucket {
    explicit Bucket(std::uint64_t burst) : tokens(static_cast<double>(burst)) {}
    double tokens;
    std::uint64_t taken = 0;
    Clock::time_point filled{};
    bool Fill(const QuotaRate& rate, Clock::time_point now);  // returns whether a token is available
  };

  QuotaOptions options_;
  Bucket all_;
  std::map<uid_t, Bucket> users_;
  std::map<uid_t, std::uint64_t> refused_;  // in this period
  std::uint64_t refused_more_ = 0;          // of users that are not reported by number
  Clock::time_point period_since_{};
};

}  // namespace assay::measure
