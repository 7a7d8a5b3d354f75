// The list against the PCR, and, where it does not fit, what was done to it.
#include <fmt/format.h>

#include <algorithm>

#include "appraise/checks.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxTamperFindings = 16;
constexpr std::size_t kMaxSwapSearch = 4096;  // records that a moved one is looked for in
constexpr std::size_t kMaxSegment = 64;       // within which every pair is tried

std::optional<Digest> Quoted(const Round& r, HashAlg bank, std::uint32_t pcr) {
  const auto values = r.pcrs.find(static_cast<std::uint16_t>(bank));
  if (values == r.pcrs.end()) return std::nullopt;
  const auto value = values->second.find(pcr);
  return value == values->second.end() ? std::nullopt : std::optional(value->second);
}

bool ReadRecords(Round& r) {
  const attest::Claims& c = r.out.claims;
  ima::ListReader reader(r.request.evidence.list, c.list_bank, c.first_record);
  while (true) {
    Result<std::optional<ima::RecordView>> record = reader.Next();
    if (!record) {
      r.Add("list.malformed", Verdict::kNotTrusted, record.error().Message());
      return false;
    }
    if (!*record) return true;
    r.records.push_back(**record);
  }
}

// The column is only a hint, but a wrong one is somebody's doing.
void CheckColumns(Round& r) {
  for (const ima::RecordView& record : r.records) {
    if (record.pcr != r.policy.pcr) {
      r.AddAt("list.foreign-pcr", Verdict::kNotTrusted,
              fmt::format("record {} belongs to PCR {}", record.index, record.pcr), record.index);
      continue;
    }
    if (record.violation()) continue;
    const HashAlg bank = r.out.claims.list_bank;
    if (Equal(record.template_digest, ima::TemplateDigest(bank, record.template_name, record.data).view()))
      continue;
    const bool all_ones = Equal(record.template_digest, Digest::Filled(bank, 0xFF).view());
    r.AddAt(all_ones ? "list.all-ones-column" : "list.column", Verdict::kNotTrusted,
            fmt::format("record {}'s template hash is {}, not that of its data", record.index,
                        all_ones ? "all ones" : Hex(record.template_digest)),
            record.index);
  }
}

// Names what was done, by the values that the attester noted along the way (and that its AK signed).
class Tampering {
 public:
  Tampering(Round& round, const Digest& start) : r_(round), value_(start) {
    for (const auto& [records, bytes] : r_.out.claims.checkpoints) {
      if (records <= r_.out.claims.first_record) continue;
      if (Result<Digest> value = Digest::Of(start.alg(), bytes)) points_.emplace_back(records, *value);
    }
    std::sort(points_.begin(), points_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const ima::RecordView& record : r_.records)
      extends_.push_back(ima::ExtendValue(start.alg(), record));
  }

  void Name() {
    const std::uint64_t first = r_.out.claims.first_record;
    std::uint64_t from = first;  // records so far, by the attester's count
    std::size_t at = 0;          // and the place in what we were given
    std::size_t named = 0;
    // More records missing than found so far (negative: too many).
    std::int64_t missing = static_cast<std::int64_t>(r_.out.claims.list_count - first) -
                           static_cast<std::int64_t>(extends_.size());
    for (std::size_t p = 0; p < points_.size() && named < kMaxTamperFindings; ++p) {
      const auto& [to, expected] = points_[p];
      const std::size_t size = static_cast<std::size_t>(to - from);
      if (at + size <= extends_.size() && Run(value_, at, size) == expected) {
        at += size;
      } else if (missing > 0 && at >= extends_.size()) {
        break;  // the end was cut off
      } else {
        ++named;
        const std::int64_t shift = Shift(p, at, size, missing);
        NameSegment(from, to, at, size, shift);
        missing -= shift;
        at = static_cast<std::size_t>(static_cast<std::int64_t>(at + size) - shift);
        at = std::min(at, extends_.size());
      }
      value_ = expected;
      from = to;
    }
    if (missing > 0 && at >= extends_.size()) {
      const std::uint64_t last = r_.out.claims.list_count - static_cast<std::uint64_t>(missing);
      r_.AddAt("list.truncated", Verdict::kNotTrusted,
               fmt::format("the list ends early: records {} to {} are missing", last,
                           r_.out.claims.list_count - 1),
               last);
      ++named;
    }
    if (named == 0)
      r_.Add("list.mismatch", Verdict::kNotTrusted, "the list does not replay to the quoted PCR");
  }

 private:
  Digest Run(Digest value, std::size_t at, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) value = ExtendPcr(value, extends_[at + i]);
    return value;
  }

  // How many records of this segment are missing (negative: too many), judged by whether the next segment
  // fits.
  std::int64_t Shift(std::size_t p, std::size_t at, std::size_t size, std::int64_t missing) const {
    if (missing == 0) return 0;
    if (p + 1 == points_.size()) return missing;
    const std::size_t next = static_cast<std::size_t>(points_[p + 1].first - points_[p].first);
    const std::int64_t step = missing > 0 ? 1 : -1;
    for (std::int64_t shift = 0;; shift += step) {
      const std::int64_t start = static_cast<std::int64_t>(at + size) - shift;
      if (start >= static_cast<std::int64_t>(at) && start >= 0 &&
          static_cast<std::size_t>(start) + next <= extends_.size() &&
          Run(points_[p].second, static_cast<std::size_t>(start), next) == points_[p + 1].second)
        return shift;
      if (shift == missing) break;
    }
    return missing > 0 ? std::min<std::int64_t>(missing, static_cast<std::int64_t>(size)) : missing;
  }

  void NameSegment(std::uint64_t from, std::uint64_t to, std::size_t at, std::size_t size,
                   std::int64_t shift) {
    const std::string where = to - from == 1 ? fmt::format("record {}", from)
                                             : fmt::format("one of the records {} to {}", from, to - 1);
    if (shift > 0) {
      r_.AddAt("list.removed", Verdict::kNotTrusted,
               fmt::format("{} was removed from the list{}", where,
                           shift > 1 ? fmt::format(" ({} records are missing here)", shift) : ""),
               from);
    } else if (shift < 0) {
      r_.AddAt("list.added", Verdict::kNotTrusted,
               fmt::format("{} record(s) were added to the list at record {}", -shift, from), from);
    } else if (const auto moved = FindMoved(at, size, to)) {
      r_.AddAt("list.reordered", Verdict::kNotTrusted,
               fmt::format("records {} and {} were exchanged", from + moved->first, from + moved->second),
               from + moved->first);
    } else if (!exchanged_.contains(from)) {
      r_.AddAt("list.altered", Verdict::kNotTrusted, fmt::format("{} was altered", where),
               Altered(at, size).value_or(from));
    }
  }

  std::optional<std::uint64_t> Altered(std::size_t at, std::size_t size) const {
    for (std::size_t i = at; i < at + size && i < extends_.size(); ++i) {
      if (!Equal(extends_[i].view(), r_.records[i].template_digest) && !r_.records[i].violation())
        return r_.records[i].index;
    }
    return std::nullopt;
  }

  // Two records that fit when exchanged, as distances from the segment's first.
  std::optional<std::pair<std::size_t, std::size_t>> FindMoved(std::size_t at, std::size_t size,
                                                               std::uint64_t to) {
    if (at + size > extends_.size() || size > kMaxSegment) return std::nullopt;
    const auto expected =
        std::find_if(points_.begin(), points_.end(), [to](const auto& point) { return point.first == to; });
    const std::size_t from = static_cast<std::size_t>(to) - size;
    const std::size_t last = size == 1 ? std::min(extends_.size(), at + kMaxSwapSearch) : at + size;
    for (std::size_t i = at; i < at + size; ++i) {
      for (std::size_t j = i + 1; j < last; ++j) {
        std::swap(extends_[i], extends_[j]);
        const bool fits = Run(value_, at, size) == expected->second;
        std::swap(extends_[i], extends_[j]);
        if (!fits) continue;
        exchanged_.insert(from + (j - at));  // which will not fit either, and is then not 'altered'
        return std::pair(i - at, j - at);
      }
    }
    return std::nullopt;
  }

  Round& r_;
  Digest value_;
  std::vector<std::pair<std::uint64_t, Digest>> points_;
  std::vector<Digest> extends_;
  std::set<std::uint64_t> exchanged_;
};

// boot_aggregate ties the firmware's PCRs to the list's beginning.
void CheckBootAggregate(Round& r) {
  if (r.request.first_record != 0) return;
  if (r.records.empty()) {
    r.Add("list.boot-aggregate", Verdict::kNotTrusted, "the list has no boot_aggregate");
    return;
  }
  const Result<ima::Entry> entry = ima::Decode(r.records.front());
  if (!entry || entry->path != "boot_aggregate" || !entry->file_digest || !entry->file_digest->digest) {
    r.AddAt("list.boot-aggregate", Verdict::kNotTrusted, "the list does not begin with boot_aggregate", 0);
    return;
  }
  const Digest& given = *entry->file_digest->digest;
  if (!CanHash(given.alg())) {
    r.AddAt("list.boot-aggregate", Verdict::kUnknown,
            fmt::format("boot_aggregate is over bank {}, which can't be computed", HashName(given.alg())), 0);
    return;
  }
  // Source: Linux 6.12 ima_crypto.c, ima_calc_boot_aggregate_tfm: PCR 0-7, and 8-9 unless the bank is SHA-1.
  Hasher hasher(given.alg());
  for (std::uint32_t pcr = 0; pcr < (given.alg() == HashAlg::kSha1 ? 8U : 10U); ++pcr) {
    const std::optional<Digest> value = Quoted(r, given.alg(), pcr);
    if (!value) {
      r.AddAt("list.boot-aggregate", Verdict::kUnknown,
              fmt::format("boot_aggregate is over bank {}, which was not quoted", HashName(given.alg())), 0);
      return;
    }
    hasher.Update(value->view());
  }
  if (hasher.Finish() != given)
    r.AddAt("list.boot-aggregate", Verdict::kNotTrusted, "boot_aggregate is not that of the quoted PCRs", 0);
}

bool CheckBank(Round& r, HashAlg bank, const Digest& quoted) {
  const attest::Claims& c = r.out.claims;
  const auto prefix = r.host.prefix.find(bank);
  if (c.first_record > 0 && prefix == r.host.prefix.end()) {
    r.Add("list.no-prefix", Verdict::kUnknown,
          fmt::format("nothing is known of the first {} records in bank {}", c.first_record, HashName(bank)));
    return false;
  }
  const ima::Replay start = c.first_record > 0
                                ? ima::Replay::FromState(prefix->second, c.first_record, r.policy.pcr)
                                : ima::Replay(bank, r.policy.pcr);
  ima::Replay replay = start;
  std::optional<std::uint64_t> met;  // records after which the quoted value was there
  for (const ima::RecordView& record : r.records) {
    if (replay.value() == quoted) met = replay.count();
    replay.Add(record);
  }
  if (replay.value() == quoted) {
    r.out.host.prefix[bank] = replay.value();
    return true;
  }
  if (met && (*met > 0 || c.first_record == 0)) {
    r.AddAt("list.beyond-quote", r.policy.allow_unquoted_tail ? Verdict::kTrusted : Verdict::kNotTrusted,
            fmt::format("{} record(s) follow that the quote does not cover", replay.count() - *met), *met);
    if (!r.policy.allow_unquoted_tail) return false;
    r.records.resize(static_cast<std::size_t>(*met - c.first_record));
    r.out.host.prefix[bank] = quoted;
    return true;
  }
  if (bank != c.list_bank) {
    r.Add("list.mismatch", Verdict::kNotTrusted,
          fmt::format("the list does not replay to the quoted PCR in bank {}", HashName(bank)));
    return false;
  }
  if (c.overflow > 0 && !c.checkpoints.empty() && c.checkpoints.back().first <= replay.count()) {
    const auto end = std::find_if(c.checkpoints.begin(), c.checkpoints.end(),
                                  [&](const auto& point) { return point.first == replay.count(); });
    if (end != c.checkpoints.end() && Equal(end->second, replay.value().view())) return false;
  }
  Tampering(r, start.value()).Name();
  return false;
}

}  // namespace

bool CheckList(Round& r) {
  const attest::Claims& c = r.out.claims;
  if (c.first_record != r.request.first_record) {
    r.Add("list.start", Verdict::kNotTrusted,
          fmt::format("asked for records from {}, given from {}", r.request.first_record, c.first_record));
    return false;
  }
  if (c.first_record > 0 && c.first_record != r.host.records) {
    r.Add("list.no-prefix", Verdict::kUnknown,
          fmt::format("records from {} were asked for, known are {}", c.first_record, r.host.records));
    return false;
  }
  if (c.overflow > 0)
    r.Add("list.full", Verdict::kUnknown,
          fmt::format("the list reached its maximum: {} further entries are in the PCR only", c.overflow));
  const bool nothing_new = r.request.evidence.list.empty() && c.list_count == c.first_record;
  if (r.request.evidence.list.empty() && !nothing_new) {
    if (c.level == attest::Level::kQuote)
      r.Add("evidence.no-list", Verdict::kUnknown, "the attester's owner does not show the list");
    else
      r.Add("list.truncated", Verdict::kNotTrusted, "the list did not come along");
    return false;
  }
  if (!ReadRecords(r)) return false;
  CheckColumns(r);
  bool good = true;
  for (const tpm::BankSelection& selected : r.quote.selection) {
    const std::optional<HashAlg> bank = HashFromTpmAlg(selected.bank);
    if (!bank || !CanHash(*bank)) continue;
    const std::optional<Digest> quoted = Quoted(r, *bank, r.policy.pcr);
    if (quoted && !CheckBank(r, *bank, *quoted)) good = false;
  }
  CheckBootAggregate(r);
  if (!good) {
    r.out.host.prefix = r.out.rebooted ? decltype(r.host.prefix){} : r.host.prefix;
    return true;  // the entries are judged all the same: they are unproven, and the verdict says so
  }
  const std::uint64_t count = c.first_record + r.records.size();
  if (count != c.list_count && !r.policy.allow_unquoted_tail)
    r.Add("list.count", Verdict::kNotTrusted,
          fmt::format("{} records replay to the quote, the attester counts {}", count, c.list_count));
  r.out.host.records = count;
  r.made.insert(Check::kList);
  return true;
}

}  // namespace assay::appraise
