// Compares the list with the PCR.
#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "appraise/checks.h"
#include "appraise/finding_names.h"
#include "base/digest_lanes.h"
#include "list/extend.h"

namespace assay::appraise {
namespace {

std::optional<Digest> Quoted(const Round& r, HashAlg bank, std::uint32_t pcr) {
  const auto values = r.pcrs.find(static_cast<std::uint16_t>(bank));
  if (values == r.pcrs.end()) return std::nullopt;
  const auto value = values->second.find(pcr);
  return value == values->second.end() ? std::nullopt : std::optional(value->second);
}

// Bytes without the digest: the PCR, a name of one byte and no data, with their lengths.
constexpr std::size_t kMinRecord = 4 + 4 + 1 + 4;
constexpr std::size_t kAtOnce = 1024;  // records

// Hashes the records that were read.
void AddExtends(Round& r) {
  std::vector<Digest> values;
  for (std::size_t at = 0; at < r.records.size(); at += kAtOnce) {
    const auto some = std::span(r.records).subspan(at, std::min(kAtOnce, r.records.size() - at));
    ima::ExtendValues(r.out.claims.list_bank, some, ima::BankHash::kOwn, values);
    for (std::size_t i = 0; i < some.size(); ++i) {
      // Of a withheld record there is only its column; the PCR proves it like any other.
      if (r.Withheld(some[i]) && !some[i].violation())
        std::copy(some[i].template_digest.begin(), some[i].template_digest.end(), values[i].data());
      r.extends.Add(values[i]);
    }
  }
}

// What a PCR's value becomes by the records [from, to).
Digest Extended(const Round& r, HashAlg bank, Digest value, std::size_t from, std::size_t to) {
  std::vector<Digest> values;
  for (std::size_t at = from; at < to; at += kAtOnce) {
    const std::size_t end = std::min(at + kAtOnce, to);
    values.clear();
    if (bank == r.out.claims.list_bank)
      for (std::size_t i = at; i < end; ++i) values.push_back(r.extends[i]);
    else
      ima::ExtendValues(bank, std::span(r.records).subspan(at, end - at), ima::BankHash::kOwn, values);
    std::size_t kept = 0;
    for (std::size_t i = at; i < end; ++i)
      if (r.records[i].pcr == r.policy.pcr) values[kept++] = values[i - at];
    values.resize(kept);
    value = ExtendPcr(value, values);
  }
  return value;
}

// The number of records after which the PCR had the quoted value.
std::optional<std::size_t> MeetsQuote(const Round& r, HashAlg bank, Digest value, const Digest& quoted) {
  std::optional<std::size_t> met;
  for (std::size_t i = 0; i <= r.records.size(); ++i) {
    if (value == quoted) met = i;
    if (i < r.records.size()) value = Extended(r, bank, value, i, i + 1);
  }
  return met;
}

// Reads the records. False: the bytes after the last record are not a record.
bool ReadRecords(Round& r) {
  const evidence::Claims& c = r.out.claims;
  ima::ListReader reader(r.request.evidence.list, c.list_bank, c.first_record);
  r.extends = PackedDigests(c.list_bank);
  // What the attester counts may be wrong: no more than could be in these bytes.
  const std::uint64_t most = r.request.evidence.list.size() / (kMinRecord + DigestSize(c.list_bank));
  const std::uint64_t count = c.list_count - std::min(c.list_count, c.first_record);
  r.records.reserve(std::min(count, most));
  r.extends.Reserve(std::min(count, most));
  while (true) {
    Result<std::optional<ima::RecordView>> record = reader.Next();
    if (!record) r.Add(FindingName::kListMalformed, record.error().Message());
    if (!record || !*record) {
      AddExtends(r);
      return record.has_value();
    }
    r.records.push_back(**record);
  }
}

// Whether a record is marked as a violation but has a file digest. A true violation has none: the mark would
// hide what was loaded.
bool ForgedViolation(const ima::RecordView& record) {
  const Result<ima::Entry> entry = ima::Decode(record);
  // A malformed record is reported when the entries are judged.
  if (!entry || !entry->file_digest) return false;
  const Bytes& digest = entry->file_digest->bytes;
  return std::any_of(digest.begin(), digest.end(), [](std::uint8_t b) { return b != 0; });
}

// The column is only a hint, but a wrong one shows that the list was changed.
void CheckColumns(Round& r) {
  const Digest ones = Digest::Filled(r.out.claims.list_bank, 0xFF);
  for (std::size_t i = 0; i < r.records.size(); ++i) {
    const ima::RecordView& record = r.records[i];
    if (record.pcr != r.policy.pcr)
      r.AddAt(FindingName::kListForeignPcr,
              fmt::format("record {} belongs to PCR {}", record.index, record.pcr), record.index);
    if (record.violation()) {
      if (ForgedViolation(record))
        r.AddAt(FindingName::kListForgedViolation,
                fmt::format("record {} is marked as a violation and holds a digest", record.index),
                record.index);
      continue;
    }
    const bool all_ones = Equal(record.template_digest, ones.view());
    if (!all_ones && Equal(record.template_digest, r.extends[i].view())) continue;
    r.AddAt(all_ones ? FindingName::kListAllOnesColumn : FindingName::kListColumn,
            fmt::format("record {}'s template hash is {}, not that of its data", record.index,
                        all_ones ? "all ones" : Hex(record.template_digest)),
            record.index);
  }
}

// boot_aggregate binds the firmware's PCRs to the beginning of the list.
void CheckBootAggregate(Round& r) {
  if (r.request.first_record != 0) return;
  if (r.records.empty() || r.records.front().violation()) {
    r.AddAt(FindingName::kListBootAggregate, "the list does not begin with boot_aggregate", 0);
    return;
  }
  const Result<ima::Entry> entry = ima::Decode(r.records.front());
  if (!entry || entry->path != "boot_aggregate" || !entry->file_digest || !entry->file_digest->digest) {
    r.AddAt(FindingName::kListBootAggregate, "the list does not begin with boot_aggregate", 0);
    return;
  }
  const Digest& given = *entry->file_digest->digest;
  // Source: Linux 6.12 ima_crypto.c, ima_calc_boot_aggregate_tfm: PCR 0 to 7, since 5.8 also 8 and 9 unless
  // the bank is SHA-1.
  const std::vector<std::uint32_t> counts =
      given.alg() == HashAlg::kSha1 ? std::vector<std::uint32_t>{8} : std::vector<std::uint32_t>{10, 8};
  bool all_tried = CanHash(given.alg());
  for (const std::uint32_t count : counts) {
    if (!CanHash(given.alg())) break;
    Bytes values;
    for (std::uint32_t pcr = 0; pcr < count; ++pcr)
      if (const std::optional<Digest> value = Quoted(r, given.alg(), pcr))
        values.insert(values.end(), value->view().begin(), value->view().end());
    if (values.size() != count * given.size())
      all_tried = false;
    else if (Hash(given.alg(), values) == given)
      return;
  }
  if (all_tried)
    r.AddAt(FindingName::kListBootAggregate, "boot_aggregate is not that of the quoted PCRs", 0);
  else
    r.AddAt(FindingName::kListBootAggregateUnproven,
            fmt::format("boot_aggregate is over PCR 0 to 9 of bank {}, which were not all quoted",
                        entry->file_digest->alg_name),
            0);
}

// A full list does not explain the PCR. Its records are accepted when they replay to the value that the
// attester claims for the end of the list.
bool FullListReplays(const Round& r, const Digest& value, std::uint64_t count) {
  const evidence::Claims& c = r.out.claims;
  return c.overflow > 0 && std::any_of(c.checkpoints.begin(), c.checkpoints.end(), [&](const auto& point) {
           return point.records == count && point.value == value;
         });
}

// In the same boot a list only grows, so a list from its start must begin with the records of the last round.
bool SameHistory(Round& r, HashAlg bank, const std::optional<Digest>& then) {
  const evidence::Claims& c = r.out.claims;
  const auto prefix = r.host.prefix.find(bank);
  // Nothing is known of a machine with another AK.
  if (c.first_record != 0 || r.out.rebooted || !r.made.contains(Check::kAk) || r.host.records == 0 ||
      prefix == r.host.prefix.end())
    return true;
  if (then == prefix->second) return true;
  r.AddAt(
      FindingName::kListHistory,
      fmt::format("the first {} records differ from those of the last round, and the machine was not reset",
                  r.host.records),
      0);
  return false;
}

bool CheckBank(Round& r, HashAlg bank, const Digest& quoted) {
  const evidence::Claims& c = r.out.claims;
  const auto prefix = r.host.prefix.find(bank);
  if (c.first_record > 0 && prefix == r.host.prefix.end()) {
    r.Add(FindingName::kListNoPrefix,
          fmt::format("nothing is known of the first {} records in bank {}", c.first_record, HashName(bank)));
    return false;
  }
  const Digest start = c.first_record > 0 ? prefix->second : Digest::Filled(bank, 0);
  const std::size_t known = std::min<std::size_t>(r.host.records, r.records.size());
  Digest value = Extended(r, bank, start, 0, known);
  // The value after the records of the last round.
  const std::optional<Digest> then = known == r.host.records ? std::optional(value) : std::nullopt;
  value = Extended(r, bank, value, known, r.records.size());
  if (value == quoted) {
    if (!SameHistory(r, bank, then)) return false;
    r.out.host.prefix[bank] = value;
    return true;
  }
  if (const std::optional<std::size_t> met = MeetsQuote(r, bank, start, quoted)) {
    r.AddAt(FindingName::kListBeyondQuote,
            r.policy.allow_unquoted_tail ? Verdict::kTrusted : Verdict::kNotTrusted,
            fmt::format("{} record(s) follow that the quote does not cover", r.records.size() - *met),
            c.first_record + *met);
    if (!r.policy.allow_unquoted_tail) return false;
    r.records.resize(*met);
    r.extends.Resize(*met);
    r.out.host.prefix[bank] = quoted;
    return SameHistory(r, bank, then);
  }
  if (bank != c.list_bank)
    r.Add(FindingName::kListMismatch,
          fmt::format("the list does not replay to the quoted PCR in bank {}", HashName(bank)));
  else if (!FullListReplays(r, value, c.first_record + r.records.size()))
    NameTampering(r, start);
  return false;
}

// Replays the list in each quoted bank; the results must agree.
bool Replays(Round& r) {
  bool good = true;
  bool any = false;
  const HashAlg list_bank = r.out.claims.list_bank;
  const std::vector<HashAlg>& strong = r.policy.quote_banks;
  if (r.request.redaction && std::find(strong.begin(), strong.end(), list_bank) == strong.end()) {
    r.Add(FindingName::kQuoteWeakBank,
          fmt::format("a redacted list replays in its own bank only, and the policy does not accept {}",
                      HashName(list_bank)));
    return false;
  }
  for (const tpm::BankSelection& selected : r.quote.selection) {
    const std::optional<HashAlg> bank = HashFromTpmAlg(selected.bank);
    if (!bank || !CanHash(*bank)) continue;
    if (r.request.redaction && *bank != list_bank) continue;
    const std::optional<Digest> quoted = Quoted(r, *bank, r.policy.pcr);
    if (!quoted) continue;
    any = true;
    if (!CheckBank(r, *bank, *quoted)) good = false;
  }
  return any && good;
}

}  // namespace

bool CheckList(Round& r) {
  const evidence::Claims& c = r.out.claims;
  if (c.first_record != r.request.first_record) {
    r.Add(FindingName::kListStart,
          fmt::format("asked for records from {}, given from {}", r.request.first_record, c.first_record));
    return false;
  }
  if (c.first_record > 0 && c.first_record != r.host.records) {
    r.Add(FindingName::kListNoPrefix,
          fmt::format("records from {} were asked for, known are {}", c.first_record, r.host.records));
    return false;
  }
  if (c.overflow > 0)
    r.Add(FindingName::kListFull,
          fmt::format("the list is full: {} further entries are only in the PCR", c.overflow));
  if (r.request.evidence.list.empty() && c.list_count != c.first_record) {
    if (c.level == evidence::Level::kQuote)
      r.Add(FindingName::kEvidenceNoList, "the attester does not show its list to this verifier");
    else
      r.Add(FindingName::kListTruncated, "the evidence has no list");
    return false;
  }
  const bool whole = ReadRecords(r);
  CheckColumns(r);
  const bool proven = r.made.contains(Check::kPcrValues);
  const bool good = whole && proven && Replays(r);
  if (proven) CheckBootAggregate(r);
  if (!good) {
    r.out.host.prefix = r.out.rebooted ? decltype(r.host.prefix){} : r.host.prefix;
    return true;  // the entries are judged too, but they are unproven, and a finding says so
  }
  const std::uint64_t count = c.first_record + r.records.size();
  if (count != c.list_count && !r.policy.allow_unquoted_tail)
    r.AddAt(FindingName::kListCount,
            fmt::format("{} records replay to the quote, but the attester counts {}", count, c.list_count),
            count);
  r.out.host.records = count;
  r.made.insert(Check::kList);
  return true;
}

}  // namespace assay::appraise
