#include "who_ran/who_ran.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/digest_text.h"
#include "who_ran/index_file.h"

namespace assay::who_ran {
namespace {

constexpr std::uint64_t kMaxRows = UINT32_MAX - std::uint64_t{1};

std::uint16_t DayOf(std::uint64_t ms) {
  return static_cast<std::uint16_t>(std::min<std::uint64_t>(ms / kDayMs, UINT16_MAX));
}

// The hosts of an answer, by number.
class Table {
 public:
  explicit Table(std::uint64_t hosts) : rows_(hosts) {}
  void First(const PeriodSet& set) {
    Each(set, [](Row& row, const Period& p) {
      if (!row.has || p.from < row.first.from) row.first = p;
      if (!row.has || p.to > row.last.to) row.last = p;
      row.has = true;
    });
  }
  void Last(const PeriodSet& set) {
    Each(set, [](Row& row, const Period& p) {
      if (row.has && p.to > row.last.to) row.last = p;
    });
  }
  std::vector<Seen> Take() const {
    std::vector<Seen> out;
    for (std::uint32_t i = 0; i < rows_.size(); ++i)
      if (rows_[i].has) out.push_back({.host = i, .first = rows_[i].first, .last = rows_[i].last});
    return out;
  }

 private:
  struct Row {
    Period first, last;
    bool has = false;
  };
  template <typename Change>
  void Each(const PeriodSet& set, const Change& change) {
    numbers_.clear();
    set.hosts.AppendTo(numbers_);
    for (const std::uint32_t host : numbers_) change(rows_[host], set.period);
  }
  std::vector<Row> rows_;
  std::vector<std::uint32_t> numbers_;
};

}  // namespace

Value ValueOf(const Digest& digest) {
  Value v;
  const Digest named = digest.alg() == HashAlg::kSha256
                           ? digest
                           : Hash(HashAlg::kSha256, AsBytes("assay who-ran " + digest.ToString()));
  std::copy_n(named.view().begin(), v.bytes.size(), v.bytes.begin());
  return v;
}

Value ValueOf(std::string_view digest_text) {
  if (const Result<Digest> digest = ParseDigest(digest_text)) return ValueOf(*digest);
  return ValueOf(Hash(HashAlg::kSha256, AsBytes("assay who-ran " + std::string(digest_text))));
}

bool InLastBoot(const Seen& seen, const HostFacts& host) { return seen.last.to >= DayOf(host.boot_ms); }

std::string PeriodText(const Period& p) {
  const std::string from = DateText(p.from * kDayMs);
  return p.from == p.to ? from : from + " to " + DateText(p.to * kDayMs);
}

Result<> IndexFile::Check() {
  if (bytes.size() < sizeof(Header)) return Fail(Bad(bytes.size(), "truncated"));
  std::memcpy(&h, bytes.data(), sizeof(h));
  if (h.magic != kMagic) return Fail(Bad(0, "it is no index of what hosts ran"));
  const std::size_t checked = sizeof(Header) - h.check.size();
  if (!Equal(Hash(HashAlg::kSha256, bytes.first(checked)).view(), h.check))
    return Fail(Bad(checked, "the header is damaged"));
  if (h.file_size != bytes.size()) return Fail(Bad(8, "the file's size is wrong"));
  struct Table {
    const char* name;
    std::uint64_t at, rows, size;
  };
  for (const Table& t :
       {Table{"sets", h.sets_at, h.sets_size, 1}, Table{"values", h.values_at, h.values, sizeof(Value)},
        Table{"ends of sets", h.ends_at, h.values, 8}, Table{"hosts", h.hosts_at, h.hosts, sizeof(HostRow)},
        Table{"hosts by name", h.by_name_at, h.hosts, 4}, Table{"names", h.names_at, h.names_size, 1}}) {
    if (t.at % kAlignment != 0 || t.at > bytes.size() || t.rows > (bytes.size() - t.at) / t.size)
      return Fail(Bad(16, std::string(t.name) + " lie outside the file"));
  }
  if (h.values > kMaxRows || h.hosts > kMaxRows) return Fail(Bad(16, "a table is too large"));
  return {};
}

Result<> IndexFile::CheckContent() const {
  const Digest content = Hash(HashAlg::kSha256, bytes.subspan(sizeof(Header)));
  if (!Equal(content.view(), h.content)) return Fail(Bad(sizeof(Header), "the content is damaged"));
  return {};
}

std::string_view IndexFile::NameAt(std::uint32_t number) const {
  const auto row = At<HostRow>(h.hosts_at, number);
  if (row.name_size > kMaxName || row.name > h.names_size || row.name_size > h.names_size - row.name)
    return "";
  return AsText(bytes.subspan(h.names_at + row.name, row.name_size));
}

std::optional<std::uint64_t> IndexFile::RowOf(const Value& value) const {
  std::uint64_t low = 0, high = h.values;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto there = At<Value>(h.values_at, middle);
    if (there == value) return middle;
    (there < value ? low : high) = there < value ? middle + 1 : middle;
  }
  return std::nullopt;
}

Result<ByteView> IndexFile::SetsAt(std::uint64_t row) const {
  const std::uint64_t from = row == 0 ? 0 : At<std::uint64_t>(h.ends_at, row - 1);
  const auto to = At<std::uint64_t>(h.ends_at, row);
  if (from > to || to > h.sets_size) return Fail(Bad(h.ends_at + row * 8, "the end of a value's sets"));
  return bytes.subspan(h.sets_at + from, to - from);
}

Result<ValueSets> IndexFile::ValueAt(std::uint64_t row) const {
  ASSAY_ASSIGN(const ByteView sets, SetsAt(row));
  return ValueSets::Parse(sets, h.hosts);
}

std::optional<std::uint32_t> IndexFile::HostNumber(std::string_view name) const {
  std::uint64_t low = 0, high = h.hosts;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto number = At<std::uint32_t>(h.by_name_at, middle);
    if (number >= h.hosts) return std::nullopt;
    const std::string_view there = NameAt(number);
    if (there == name) return number;
    (there < name ? low : high) = there < name ? middle + 1 : middle;
  }
  return std::nullopt;
}

Result<std::unique_ptr<IndexFile>> IndexFile::Open(const std::string& path) {
  auto out = std::make_unique<IndexFile>();
  ASSAY_ASSIGN(out->file, MappedFile::Open(path));
  out->bytes = out->file.view();
  const Result<> checked = out->Check();
  if (!checked) return Fail(checked.error().In(path));
  return out;
}

Result<std::unique_ptr<IndexFile>> IndexFile::OfBytes(Bytes bytes) {
  auto out = std::make_unique<IndexFile>();
  out->memory = std::move(bytes);
  out->bytes = out->memory;
  ASSAY_TRY(out->Check());
  return out;
}

WhoRan::WhoRan(std::unique_ptr<IndexFile> file) : file_(std::move(file)) {}
WhoRan::WhoRan(WhoRan&&) noexcept = default;
WhoRan& WhoRan::operator=(WhoRan&&) noexcept = default;
WhoRan::~WhoRan() = default;

Result<WhoRan> WhoRan::Open(const std::string& path) {
  ASSAY_ASSIGN(std::unique_ptr<IndexFile> file, IndexFile::Open(path));
  return WhoRan(std::move(file));
}

Result<WhoRan> WhoRan::OfBytes(Bytes bytes) {
  ASSAY_ASSIGN(std::unique_ptr<IndexFile> file, IndexFile::OfBytes(std::move(bytes)));
  return WhoRan(std::move(file));
}

std::uint64_t WhoRan::values() const { return file_->h.values; }
std::uint64_t WhoRan::hosts() const { return file_->h.hosts; }
bool WhoRan::Knows(const Value& value) const { return file_->RowOf(value).has_value(); }

Result<std::vector<std::uint32_t>> WhoRan::Which(const Value& value) const {
  std::vector<std::uint32_t> out;
  const std::optional<std::uint64_t> row = file_->RowOf(value);
  if (!row) return out;
  ASSAY_ASSIGN(const ValueSets sets, file_->ValueAt(*row));
  sets.All().AppendTo(out);
  return out;
}

Result<std::vector<Seen>> WhoRan::When(const Value& value) const { return When(std::span(&value, 1)); }

Result<std::vector<Seen>> WhoRan::When(std::span<const Value> any_of) const {
  Table table(file_->h.hosts);
  for (const Value& value : any_of) {
    const std::optional<std::uint64_t> row = file_->RowOf(value);
    if (!row) continue;
    ASSAY_ASSIGN(const ValueSets sets, file_->ValueAt(*row));
    for (const PeriodSet& s : sets.first()) table.First(s);
    for (const PeriodSet& s : sets.last()) table.Last(s);
  }
  return table.Take();
}

Result<HostFacts> WhoRan::HostAt(std::uint32_t number) const {
  if (number >= file_->h.hosts) return Fail(UsageError(fmt::format("there is no host {}", number)));
  const auto row = file_->At<HostRow>(file_->h.hosts_at, number);
  return HostFacts{.name = std::string(file_->NameAt(number)),
                   .first_ms = row.first,
                   .last_ms = row.last,
                   .boot_ms = row.boot_first};
}

std::optional<std::uint32_t> WhoRan::HostNumber(std::string_view name) const {
  return file_->HostNumber(name);
}

Result<> WhoRan::CheckAll() const {
  const IndexFile& f = *file_;
  ASSAY_TRY(f.CheckContent());
  for (std::uint64_t i = 0; i < f.h.values; ++i) {
    if (i > 0 && f.At<Value>(f.h.values_at, i) <= f.At<Value>(f.h.values_at, i - 1))
      return Fail(f.Bad(f.h.values_at + i * sizeof(Value), "values do not ascend"));
    Result<ValueSets> sets = f.ValueAt(i);
    if (!sets) return Fail(sets.error());
    if (!sets->Whole()) return Fail(f.Bad(f.h.ends_at + i * 8, "a host is twice in the sets of a value"));
  }
  if (f.h.values > 0 && f.At<std::uint64_t>(f.h.ends_at, f.h.values - 1) != f.h.sets_size)
    return Fail(f.Bad(f.h.ends_at, "sets of no value"));
  for (std::uint32_t i = 0; i < f.h.hosts; ++i) {
    const auto row = f.At<HostRow>(f.h.hosts_at, i);
    if (f.NameAt(i).empty() || row.first > row.last || row.boot_first > row.last)
      return Fail(f.Bad(f.h.hosts_at + i * sizeof(HostRow), "a host"));
  }
  for (std::uint64_t i = 0; i < f.h.hosts; ++i) {
    const auto number = f.At<std::uint32_t>(f.h.by_name_at, i);
    // Names that ascend are each of another host, so all hosts are there.
    if (number >= f.h.hosts ||
        (i > 0 && f.NameAt(number) <= f.NameAt(f.At<std::uint32_t>(f.h.by_name_at, i - 1))))
      return Fail(f.Bad(f.h.by_name_at + i * 4, "hosts by name"));
  }
  return {};
}

}  // namespace assay::who_ran
