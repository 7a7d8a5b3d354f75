#include "who_ran/value_sets.h"

#include <algorithm>

namespace assay::who_ran {
namespace {

Result<HostSet> ParseSet(std::uint8_t kind, ByteView bytes, std::uint64_t hosts) {
  if ((kind & kRoaring) != 0) return HostSet::Parse(bytes, hosts);
  Reader r(bytes, "who-ran-set");
  HostSet set;
  std::uint64_t next = 0;
  while (!r.done()) {
    ASSAY_ASSIGN(const std::uint32_t host, r.U32Le("a host"));
    if (host < next || host >= hosts) return Fail(r.Bad("hosts do not ascend"));
    next = std::uint64_t{host} + 1;
    set.Add(host);
  }
  if (next == 0) return Fail(r.Bad("a set without a host"));
  return set;
}

std::size_t SizeOf(const HostSet& set) {
  return kSetHead + std::min<std::uint64_t>(set.EncodedSize(), set.size() * 4);
}
std::size_t SizeOf(const std::vector<PeriodSet>& sets) {
  std::size_t size = 0;
  for (const PeriodSet& s : sets) size += SizeOf(s.hosts);
  return size;
}

void Put(Writer& w, std::uint8_t kind, const PeriodSet& set) {
  const bool roaring = set.hosts.EncodedSize() < set.hosts.size() * 4;
  Writer list;
  if (!roaring) {
    std::vector<std::uint32_t> hosts;
    set.hosts.AppendTo(hosts);
    for (const std::uint32_t host : hosts) list.U32Le(host);
  }
  const Bytes bytes = roaring ? set.hosts.Encode() : list.Take();
  w.U8(roaring ? kind | kRoaring : kind)
      .U16Le(set.period.from)
      .U16Le(set.period.to)
      .U32Le(static_cast<std::uint32_t>(bytes.size()))
      .Put(bytes);
}

// Every two neighbours become one.
void Halve(std::vector<PeriodSet>& sets) {
  std::vector<PeriodSet> out;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (i % 2 == 0) {
      out.push_back(std::move(sets[i]));
      continue;
    }
    out.back().period.to = sets[i].period.to;
    out.back().hosts.Add(sets[i].hosts);
    out.back().hosts.Shrink();
  }
  sets = std::move(out);
}

}  // namespace

Result<ValueSets> ValueSets::Parse(ByteView bytes, std::uint64_t hosts) {
  ValueSets out;
  Reader r(bytes, "who-ran-set");
  while (!r.done()) {
    ASSAY_ASSIGN(const std::uint8_t kind, r.U8("kind"));
    PeriodSet set;
    ASSAY_ASSIGN(set.period.from, r.U16Le("the first day"));
    ASSAY_ASSIGN(set.period.to, r.U16Le("the last day"));
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("size"));
    ASSAY_ASSIGN(const ByteView content, r.Take(size, "a set"));
    ASSAY_ASSIGN(set.hosts, ParseSet(kind, content, hosts));
    const bool last = (kind & kLast) != 0;
    if ((kind & ~(kLast | kRoaring)) != 0 || (!last && !out.last_.empty())) return Fail(r.Bad("kind"));
    std::vector<PeriodSet>& sets = last ? out.last_ : out.first_;
    if (set.period.to < set.period.from || (!sets.empty() && sets.back().period.to >= set.period.from))
      return Fail(r.Bad("periods do not ascend"));
    if (!last) out.all_.Add(set.hosts);
    sets.push_back(std::move(set));
  }
  if (out.first_.empty()) return Fail(r.Bad("a value without a host"));
  return out;
}

// The set whose period has the day, or a new one of this day.
HostSet& ValueSets::Of(std::vector<PeriodSet>& sets, std::uint16_t day) {
  const auto at =
      std::find_if(sets.begin(), sets.end(), [&](const PeriodSet& s) { return s.period.to >= day; });
  if (at != sets.end() && at->period.from <= day) return at->hosts;
  return sets.insert(at, {.period = {day, day}, .hosts = {}})->hosts;
}

// Hosts that are in `last` with a later period stay there.
void ValueSets::NoteLast(std::uint16_t day, const HostSet& hosts) {
  HostSet noted = hosts.Common(hosts);
  for (PeriodSet& s : last_) {
    if (s.period.to < day)
      s.hosts.Remove(hosts);
    else
      noted.Remove(s.hosts);
  }
  if (!noted.empty()) Of(last_, day).Add(noted);
}

void ValueSets::Add(const OfDay& added) {
  if (all_.Intersects(added.hosts)) AddKnown(added.day, all_.Common(added.hosts));
  HostSet fresh = added.hosts.Without(all_);
  if (fresh.empty()) return;
  all_.Add(fresh);
  Of(first_, added.day).Add(fresh);
}

// Hosts that ran it on another day.
void ValueSets::AddKnown(std::uint16_t day, const HostSet& hosts) {
  HostSet later;                 // hosts that ran it on an earlier day before
  std::vector<PeriodSet> moved;  // hosts whose first day was thought to be a later one
  for (PeriodSet& s : first_) {
    HostSet here = s.hosts.Common(hosts);
    if (here.empty()) continue;
    if (s.period.to < day) later.Add(here);
    if (s.period.from <= day) continue;
    s.hosts.Remove(here);
    moved.push_back({.period = s.period, .hosts = std::move(here)});
  }
  for (const PeriodSet& s : last_)
    if (s.period.to < day) later.Add(s.hosts.Common(hosts));
  if (!later.empty()) NoteLast(day, later);
  for (const PeriodSet& m : moved) {
    Of(first_, day).Add(m.hosts);
    HostSet unnoted = m.hosts.Common(m.hosts);
    for (const PeriodSet& s : last_) unnoted.Remove(s.hosts);
    if (!unnoted.empty()) NoteLast(m.period.to, unnoted);
  }
  for (std::vector<PeriodSet>* sets : {&first_, &last_})
    std::erase_if(*sets, [](const PeriodSet& s) { return s.hosts.empty(); });
}

// Of the two kinds the larger one loses days first.
void ValueSets::Fit() {
  for (std::vector<PeriodSet>* sets : {&first_, &last_})
    for (PeriodSet& s : *sets) s.hosts.Shrink();
  all_.Shrink();
  // Neighbours are few bytes as runs: a bit for each host leaves room for periods there too.
  const std::size_t one = std::max<std::size_t>(SizeOf(all_), all_.size() / 8);
  const std::size_t most = kAlwaysExact + kTimesOneSet * one;
  while (true) {
    const std::size_t first = SizeOf(first_);
    const std::size_t last = SizeOf(last_);
    if (first + last <= most) return;
    const bool of_first = last_.size() < 2 || (first_.size() > 1 && first >= last);
    std::vector<PeriodSet>& larger = of_first ? first_ : last_;
    if (larger.size() < 2) return;
    Halve(larger);
  }
}

Bytes ValueSets::Encode() {
  Fit();
  Writer w;
  for (const PeriodSet& s : first_) Put(w, 0, s);
  for (const PeriodSet& s : last_) Put(w, kLast, s);
  return w.Take();
}

bool ValueSets::Whole() const {
  HostSet all;
  HostSet ended;
  for (const PeriodSet& s : first_) {
    if (all.Intersects(s.hosts)) return false;
    all.Add(s.hosts);
  }
  for (const PeriodSet& s : last_) {
    if (ended.Intersects(s.hosts) || !s.hosts.Without(all).empty()) return false;
    ended.Add(s.hosts);
  }
  return true;
}

}  // namespace assay::who_ran
