// Additions to an index, and their merge into the file.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <unordered_map>

#include "base/atomic_file.h"
#include "who_ran/index_file.h"

namespace assay::who_ran {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr std::size_t kNodeBytes = 160;  // of a value, a host or a set, with what the allocator takes

struct HashValue {
  std::size_t operator()(const Value& v) const {
    std::size_t head;
    std::memcpy(&head, v.bytes.data(), sizeof(head));
    return head;
  }
};

struct HostDay {
  std::uint32_t host;
  std::uint16_t day;
};

// What is added to one value. A set costs much more than a few numbers, so only days with many hosts have
// one.
class Pending {
 public:
  // Returns how much more memory it takes, in bytes.
  std::size_t Add(std::uint32_t host, std::uint16_t day) {
    const std::size_t before = Lists();
    std::size_t in_sets = 0;
    if (day != day_) {
      in_sets = EndDay();
      day_ = day;
    }
    if (hosts_.empty() || hosts_.back() != host) hosts_.push_back(host);
    const std::size_t now = Lists() + in_sets;
    return now - std::min(before, now);
  }
  void MergeInto(ValueSets& sets) {
    EndDay();
    for (const auto& [day, hosts] : many_) sets.Add({.day = day, .hosts = hosts});
    std::sort(few_.begin(), few_.end(), [](const HostDay& x, const HostDay& y) {
      return x.day != y.day ? x.day < y.day : x.host < y.host;
    });
    for (std::size_t i = 0; i < few_.size();) {
      const std::uint16_t day = few_[i].day;
      HostSet set;
      for (; i < few_.size() && few_[i].day == day; ++i) set.Add(few_[i].host);
      sets.Add({.day = day, .hosts = set});
    }
  }

 private:
  static constexpr std::size_t kMany = 64;
  std::size_t Lists() const {
    return hosts_.capacity() * sizeof(hosts_[0]) + few_.capacity() * sizeof(HostDay);
  }
  std::size_t EndDay() {
    std::size_t in_sets = 0;
    if (hosts_.size() >= kMany) {
      HostSet set;
      set.Add(hosts_);
      set.Shrink();
      in_sets = set.EncodedSize() + kNodeBytes;
      many_.emplace_back(day_, std::move(set));
    } else {
      for (const std::uint32_t host : hosts_) few_.push_back({.host = host, .day = day_});
    }
    hosts_.clear();
    return in_sets;
  }

  std::uint16_t day_ = 0;
  std::vector<std::uint32_t> hosts_;  // of day_
  std::vector<HostDay> few_;
  std::vector<std::pair<std::uint16_t, HostSet>> many_;
};

struct NamedHost {
  std::string_view name;
  std::uint32_t number;
  bool operator<(const NamedHost& o) const { return name < o.name; }
};

template <typename T>
ByteView RawBytes(const T* rows, std::size_t count) {
  return {reinterpret_cast<const std::uint8_t*>(rows), count * sizeof(T)};
}

// Writes what follows the header, and its checksum.
class Content {
 public:
  explicit Content(AtomicFile& file) : file_(file) { buffer_.reserve(kBlock); }
  Result<> Put(ByteView bytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    at_ += bytes.size();
    return buffer_.size() < kBlock ? Result<>() : Flush();
  }
  // The place of the next table.
  Result<std::uint64_t> Align() {
    static constexpr std::array<std::uint8_t, kAlignment> kGap{};
    ASSAY_TRY(Put(ByteView(kGap).first((kAlignment - at_ % kAlignment) % kAlignment)));
    return at_;
  }
  Result<> Flush() {
    hasher_.Update(buffer_);
    ASSAY_TRY(file_.Put(buffer_));
    buffer_.clear();
    return {};
  }
  std::uint64_t at() const { return at_; }
  Digest Finish() { return hasher_.Finish(); }

 private:
  AtomicFile& file_;
  Hasher hasher_{HashAlg::kSha256};
  Bytes buffer_;
  std::uint64_t at_ = sizeof(Header);
};

}  // namespace

struct Updates::Impl {
  std::string path;
  std::unique_ptr<IndexFile> old;  // null: there is none yet
  std::map<std::string, std::uint32_t, std::less<>> new_names;
  std::vector<HostRow> new_rows;
  std::map<std::uint32_t, HostRow> changed;  // rows of the file
  std::unordered_map<Value, Pending, HashValue> values;
  std::size_t added_bytes = 0;

  std::uint64_t OldHosts() const { return old == nullptr ? 0 : old->h.hosts; }
  HostRow& RowOf(const RoundFacts& facts, std::uint32_t& number);
  Result<> Merge(Content& out, Header& h);
  Result<> PutHosts(Content& out, Header& h);
};

Updates::Updates(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Updates::Updates(Updates&&) noexcept = default;
Updates::~Updates() = default;

Result<Updates> Updates::Onto(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  if (::access(path.c_str(), F_OK) == 0) {
    ASSAY_ASSIGN(impl->old, IndexFile::Open(path));
  } else if (errno != ENOENT) {
    return Fail(OsError("access", path, errno));
  }
  return Updates(std::move(impl));
}

HostRow& Updates::Impl::RowOf(const RoundFacts& facts, std::uint32_t& number) {
  if (const std::optional<std::uint32_t> known =
          old == nullptr ? std::nullopt : old->HostNumber(facts.host)) {
    number = *known;
    return changed.try_emplace(number, old->At<HostRow>(old->h.hosts_at, number)).first->second;
  }
  const auto next = static_cast<std::uint32_t>(OldHosts() + new_rows.size());
  const auto [at, added] = new_names.try_emplace(facts.host, next);
  if (added)
    new_rows.push_back({.first = facts.time_ms,
                        .last = facts.time_ms,
                        .boot_first = facts.time_ms,
                        .boot = 0,
                        .name = 0,
                        .name_size = static_cast<std::uint32_t>(facts.host.size())});
  number = at->second;
  return new_rows[number - OldHosts()];
}

Result<Round> Updates::Begin(const RoundFacts& facts) {
  if (facts.host.empty() || facts.host.size() > kMaxName)
    return Fail(UsageError(fmt::format("a host's name has 1 to {} bytes", kMaxName)));
  const std::uint64_t day = facts.time_ms / kDayMs;
  if (day > UINT16_MAX) return Fail(UsageError("the time lies after the year 2149"));
  std::uint64_t boot = 0;
  std::memcpy(&boot, Hash(HashAlg::kSha256, AsBytes(facts.boot_id)).view().data(), sizeof(boot));
  Round round{.host = 0, .day = static_cast<std::uint16_t>(day)};
  HostRow& row = impl_->RowOf(facts, round.host);
  if (row.boot == boot) {
    row.boot_first = std::min(row.boot_first, facts.time_ms);
  } else if (facts.time_ms >= row.last) {
    row.boot = boot;
    row.boot_first = facts.time_ms;
  }
  row.first = std::min(row.first, facts.time_ms);
  row.last = std::max(row.last, facts.time_ms);
  return round;
}

void Updates::Ran(const Round& round, const Value& value) {
  impl_->added_bytes += impl_->values[value].Add(round.host, round.day);
}

std::size_t Updates::bytes() const {
  return impl_->added_bytes + (impl_->values.size() + impl_->new_rows.size()) * kNodeBytes;
}

// Old and new values in one order. What has no additions is copied as it is.
Result<> Updates::Impl::Merge(Content& out, Header& h) {
  std::vector<std::pair<const Value*, Pending*>> added;
  added.reserve(values.size());
  for (auto& [value, pending] : values) added.emplace_back(&value, &pending);
  std::sort(added.begin(), added.end(), [](const auto& a, const auto& b) { return *a.first < *b.first; });
  const std::uint64_t old_rows = old == nullptr ? 0 : old->h.values;
  std::vector<Value> keys;
  std::vector<std::uint64_t> ends;
  keys.reserve(old_rows + added.size());
  ends.reserve(old_rows + added.size());
  h.sets_at = out.at();
  const auto end = [&](const Value& value) {
    keys.push_back(value);
    ends.push_back(out.at() - h.sets_at);
  };
  std::uint64_t row = 0;
  const auto copy_before = [&](const Value* value) -> Result<> {
    for (; row < old_rows; ++row) {
      const auto there = old->At<Value>(old->h.values_at, row);
      if (value != nullptr && there >= *value) break;
      ASSAY_ASSIGN(const ByteView sets, old->SetsAt(row));
      ASSAY_TRY(out.Put(sets));
      end(there);
    }
    return {};
  };
  for (const auto& [value, pending] : added) {
    ASSAY_TRY(copy_before(value));
    ValueSets sets;
    if (row < old_rows && old->At<Value>(old->h.values_at, row) == *value) {
      ASSAY_ASSIGN(sets, old->ValueAt(row));
      ++row;
    }
    pending->MergeInto(sets);
    ASSAY_TRY(out.Put(sets.Encode()));
    end(*value);
  }
  ASSAY_TRY(copy_before(nullptr));
  h.sets_size = out.at() - h.sets_at;
  h.values = keys.size();
  ASSAY_ASSIGN(h.values_at, out.Align());
  ASSAY_TRY(out.Put(RawBytes(keys.data(), keys.size())));
  ASSAY_ASSIGN(h.ends_at, out.Align());
  return out.Put(RawBytes(ends.data(), ends.size()));
}

Result<> Updates::Impl::PutHosts(Content& out, Header& h) {
  std::vector<NamedHost> names;  // by number
  names.reserve(OldHosts() + new_rows.size());
  for (std::uint32_t i = 0; i < OldHosts(); ++i) names.push_back({old->NameAt(i), i});
  names.resize(OldHosts() + new_rows.size());
  for (const auto& [name, number] : new_names) names[number] = {name, number};
  h.hosts = names.size();
  ASSAY_ASSIGN(h.hosts_at, out.Align());
  for (const NamedHost& n : names) {
    HostRow row{};
    if (const auto at = changed.find(n.number); at != changed.end())
      row = at->second;
    else
      row = n.number < OldHosts() ? old->At<HostRow>(old->h.hosts_at, n.number)
                                  : new_rows[n.number - OldHosts()];
    if (h.names_size > UINT32_MAX - n.name.size()) return Fail(UsageError("too many hosts for one index"));
    row.name = static_cast<std::uint32_t>(h.names_size);
    row.name_size = static_cast<std::uint32_t>(n.name.size());
    h.names_size += n.name.size();
    ASSAY_TRY(out.Put(RawBytes(&row, 1)));
  }
  std::vector<NamedHost> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  ASSAY_ASSIGN(h.by_name_at, out.Align());
  for (const NamedHost& n : sorted) ASSAY_TRY(out.Put(RawBytes(&n.number, 1)));
  ASSAY_ASSIGN(h.names_at, out.Align());
  for (const NamedHost& n : names) ASSAY_TRY(out.Put(AsBytes(n.name)));
  return {};
}

Result<> Updates::Write() {
  Impl& u = *impl_;
  if (u.old != nullptr) {
    const Result<> checked = u.old->CheckContent();
    if (!checked) return Fail(checked.error().In(u.path));
  }
  ASSAY_ASSIGN(AtomicFile file, AtomicFile::Make(u.path));
  Header h{};
  h.magic = kMagic;
  ASSAY_TRY(file.Put(RawBytes(&h, 1)));
  Content out(file);
  ASSAY_TRY(u.Merge(out, h));
  ASSAY_TRY(u.PutHosts(out, h));
  ASSAY_TRY(out.Flush());
  h.file_size = out.at();
  std::copy_n(out.Finish().view().begin(), h.content.size(), h.content.begin());
  const Digest check = Hash(HashAlg::kSha256, RawBytes(&h, 1).first(sizeof(Header) - h.check.size()));
  std::copy_n(check.view().begin(), h.check.size(), h.check.begin());
  ASSAY_TRY(file.PutAt(0, RawBytes(&h, 1)));
  ASSAY_TRY(file.Commit(0600));  // it tells what runs where
  auto next = std::make_unique<Impl>();
  next->path = u.path;
  ASSAY_ASSIGN(next->old, IndexFile::Open(u.path));
  impl_ = std::move(next);
  return {};
}

}  // namespace assay::who_ran
