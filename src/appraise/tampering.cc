// Finds how a list that does not replay to the quoted PCR was changed.
#include <fmt/core.h>

#include <algorithm>

#include "appraise/checks.h"
#include "appraise/finding_names.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxFindings = 16;
constexpr std::size_t kMaxMoved = 4096;  // number of records among which a moved record is searched
constexpr std::size_t kMaxSegment = 64;  // number of records among which every pair is tried
// Records against the trend (one was added while others were removed).
constexpr std::int64_t kMaxOtherWay = 8;
constexpr std::size_t kMaxSearch = 8'000'000;      // number of hashes that the search may calculate
constexpr std::uint64_t kMaxRecords = UINT32_MAX;  // no list has more records

class Tampering {
 public:
  Tampering(Round& round, const Digest& start)
      : r_(round), value_(start), first_(round.out.claims.first_record), count_(round.out.claims.list_count) {
    for (const auto& [records, value] : r_.out.claims.checkpoints)
      if (records > first_ && records <= count_) points_.emplace_back(records, value);
    auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    std::sort(points_.begin(), points_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    points_.erase(std::unique(points_.begin(), points_.end(), same), points_.end());
    for (std::size_t i = 0; i < r_.records.size(); ++i) extends_.push_back(r_.extends[i]);
  }

  void Name() {
    std::uint64_t from = first_;  // number of records so far, by the attester's count
    std::size_t at = 0;           // and the index in the list that was sent
    std::size_t named = 0;
    // How many more records are missing than were found so far (negative: too many records).
    std::int64_t missing =
        static_cast<std::int64_t>(count_ - first_) - static_cast<std::int64_t>(extends_.size());
    for (std::size_t p = 0; p < points_.size() && named < kMaxFindings; ++p) {
      const auto& [to, expected] = points_[p];
      const auto size = static_cast<std::size_t>(to - from);
      if (at + size <= extends_.size() && Run(value_, at, size) == expected) {
        at += size;
      } else if (missing > 0 && at >= extends_.size()) {
        break;  // the end of the list was removed
      } else {
        ++named;
        // If no record is missing, an exchange of two records is searched first: an exchange of neighbours
        // looks like one removed and one added record.
        Moved moved = missing == 0 ? FindMoved(at, size, to) : Moved{};
        const std::int64_t shift = moved.found ? 0 : Shift(p, at, size, missing);
        if (!moved.found && shift == 0) moved = FindMoved(at, size, to);
        NameSegment(from, to, at, size, shift, moved);
        missing -= shift;
        at = static_cast<std::size_t>(static_cast<std::int64_t>(at + size) - shift);
        at = std::min(at, extends_.size());
      }
      value_ = expected;
      from = to;
    }
    if (missing > 0 && at >= extends_.size()) {
      const std::uint64_t last = count_ - static_cast<std::uint64_t>(missing);
      r_.AddAt(FindingName::kListTruncated,
               fmt::format("the list ends early: records {} to {} are missing", last, count_ - 1), last);
      ++named;
    }
    if (named == 0 && missing == 0 && from == count_ && !points_.empty())
      r_.Add(FindingName::kListForeignExtend,
             "the list is complete by the attester's count, and something else has extended the PCR too");
    else if (named == 0)
      r_.Add(FindingName::kListMismatch, "the list does not replay to the quoted PCR");
  }

 private:
  // Two records that fit after an exchange, by their distances from the first record of the segment.
  struct Moved {
    bool found = false;
    std::size_t first = 0, second = 0;
  };

  Digest Run(Digest value, std::size_t at, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) value = ExtendPcr(value, extends_[at + i]);
    return value;
  }

  // The same during a search. The number of hashes is bounded, so that a list can't keep the verifier busy.
  bool Fits(const Digest& value, std::size_t at, std::size_t n, const Digest& expected) {
    if (n > search_) return false;
    search_ -= n;
    return Run(value, at, n) == expected;
  }

  // How many records of this segment are missing (negative: too many), found by trying whether the next
  // segment fits.
  std::int64_t Shift(std::size_t p, std::size_t at, std::size_t size, std::int64_t missing) {
    if (p + 1 == points_.size()) return missing;
    const auto next = static_cast<std::size_t>(points_[p + 1].first - points_[p].first);
    auto fits = [&](std::int64_t shift) {
      const std::int64_t start = static_cast<std::int64_t>(at + size) - shift;
      return start >= static_cast<std::int64_t>(at) &&
             static_cast<std::size_t>(start) + next <= extends_.size() &&
             Fits(points_[p].second, static_cast<std::size_t>(start), next, points_[p + 1].second);
    };
    const std::int64_t sign = missing < 0 ? -1 : 1;
    // There are no more records to try beyond this.
    const auto most = static_cast<std::int64_t>(std::max(size, extends_.size()));
    if (fits(0)) return 0;
    for (std::int64_t n = 1; search_ > 0 && n <= std::min(std::max(missing * sign, kMaxOtherWay), most);
         ++n) {
      if (n <= std::max<std::int64_t>(missing * sign, 1) && fits(n * sign)) return n * sign;
      if (n <= kMaxOtherWay && fits(-n * sign)) return -n * sign;
    }
    return missing > 0 ? std::min<std::int64_t>(missing, static_cast<std::int64_t>(size)) : missing;
  }

  void NameSegment(std::uint64_t from, std::uint64_t to, std::size_t at, std::size_t size, std::int64_t shift,
                   const Moved& moved) {
    const std::string where = to - from == 1 ? fmt::format("record {}", from)
                                             : fmt::format("one of the records {} to {}", from, to - 1);
    if (shift > 0) {
      r_.AddAt(FindingName::kListRemoved,
               fmt::format("{} was removed from the list{}", where,
                           shift > 1 ? fmt::format(" ({} records are missing here)", shift) : ""),
               from);
    } else if (shift < 0) {
      r_.AddAt(FindingName::kListAdded,
               to - from == 1 ? fmt::format("{} record(s) were added to the list at record {}", -shift, from)
                              : fmt::format("{} record(s) were added to the list between records {} and {}",
                                            -shift, from, to - 1),
               from);
    } else if (moved.found) {
      r_.AddAt(FindingName::kListReordered,
               fmt::format("records {} and {} were exchanged", from + moved.first, from + moved.second),
               from + moved.first);
    } else if (!exchanged_.contains(from)) {
      r_.AddAt(FindingName::kListAltered, fmt::format("{} was altered", where),
               Altered(at, size).value_or(from));
    }
  }

  // The altered record: its column still has the template hash of the original.
  std::optional<std::uint64_t> Altered(std::size_t at, std::size_t size) const {
    for (std::size_t i = at; i < at + size && i < extends_.size(); ++i)
      if (!Equal(extends_[i].view(), r_.records[i].template_digest) && !r_.records[i].violation())
        return r_.records[i].index;
    return std::nullopt;
  }

  Moved FindMoved(std::size_t at, std::size_t size, std::uint64_t to) {
    if (at + size > extends_.size() || size > kMaxSegment) return {};
    const auto expected =
        std::find_if(points_.begin(), points_.end(), [to](const auto& point) { return point.first == to; });
    const std::size_t from = static_cast<std::size_t>(to) - size;
    const std::size_t last = size == 1 ? std::min(extends_.size(), at + kMaxMoved) : at + size;
    for (std::size_t i = at; i < at + size; ++i) {
      for (std::size_t j = i + 1; j < last; ++j) {
        std::swap(extends_[i], extends_[j]);
        const bool fits = Fits(value_, at, size, expected->second);
        std::swap(extends_[i], extends_[j]);
        if (!fits) continue;
        exchanged_.insert(from + (j - at));  // it does not fit either, but must not be reported as altered
        return {.found = true, .first = i - at, .second = j - at};
      }
    }
    return {};
  }

  Round& r_;
  Digest value_;
  const std::uint64_t first_, count_;
  std::vector<std::pair<std::uint64_t, Digest>> points_;
  std::vector<Digest> extends_;
  std::set<std::uint64_t> exchanged_;
  std::size_t search_ = kMaxSearch;
};

}  // namespace

void NameTampering(Round& r, const Digest& start) {
  const evidence::Claims& c = r.out.claims;
  if (c.list_count < c.first_record || c.list_count - c.first_record > kMaxRecords)
    r.Add(FindingName::kListMismatch, "the list does not replay to the quoted PCR");
  else
    Tampering(r, start).Name();
}

}  // namespace assay::appraise
