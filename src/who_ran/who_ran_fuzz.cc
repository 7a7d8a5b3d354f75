// Damaged indexes and sets give a named error or answers, and never cause a read outside the bytes.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/fuzzing.h"
#include "who_ran/format.h"
#include "who_ran/host_set.h"
#include "who_ran/who_ran.h"

using namespace assay;

namespace {

// Gives the header its checksums, so that what lies behind them is reached.
void Repair(Bytes& bytes) {
  who_ran::Header h{};
  if (bytes.size() < sizeof(h)) return;
  std::memcpy(&h, bytes.data(), sizeof(h));
  if (h.magic != who_ran::kMagic) return;
  const Digest content = Hash(HashAlg::kSha256, ByteView(bytes).subspan(sizeof(h)));
  std::copy_n(content.view().begin(), h.content.size(), h.content.begin());
  std::memcpy(bytes.data(), &h, sizeof(h));
  const std::size_t checked = offsetof(who_ran::Header, check);
  const Digest check = Hash(HashAlg::kSha256, ByteView(bytes).first(checked));
  std::copy_n(check.view().begin(), h.check.size(), bytes.begin() + static_cast<std::ptrdiff_t>(checked));
}

// A set that is accepted has ascending hosts below the bound, and is written as one with the same hosts.
void TrySet(ByteView bytes) {
  constexpr std::uint64_t kHosts = 10'000'000;
  Result<who_ran::HostSet> set = who_ran::HostSet::Parse(bytes, kHosts);
  if (!set) return;
  std::vector<std::uint32_t> hosts;
  set->AppendTo(hosts);
  Require(!hosts.empty() && hosts.back() < kHosts);
  Require(std::adjacent_find(hosts.begin(), hosts.end(), std::greater_equal<>()) == hosts.end());
  set->Shrink();
  const Result<who_ran::HostSet> again = who_ran::HostSet::Parse(set->Encode(), kHosts);
  Require(again.has_value());
  std::vector<std::uint32_t> same;
  again->AppendTo(same);
  Require(hosts == same);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TrySet({data, size});
  Bytes bytes(data, data + size);
  Repair(bytes);
  const auto index = who_ran::WhoRan::OfBytes(bytes);
  if (!index) return 0;
  const bool whole = index->CheckAll().has_value();
  // Asks for what may be a value: 32 bytes at every place of the file.
  for (std::size_t at = 0; at + 32 <= size; at += 8) {
    who_ran::Value value;
    std::copy_n(data + at, value.bytes.size(), value.bytes.begin());
    const bool known = index->Knows(value);
    const auto which = index->Which(value);
    const auto when = index->When(value);
    Require(which.has_value() == when.has_value());
    if (!which) {
      Require(!whole);
      continue;
    }
    Require(which->size() == when->size() && known == !which->empty());
    for (std::size_t i = 0; i < which->size(); ++i) {
      const who_ran::Seen& seen = (*when)[i];
      Require(seen.host == (*which)[i] && seen.first.from <= seen.last.to);
      const auto host = index->HostAt(seen.host);
      Require(host.has_value());
      if (whole) Require(index->HostNumber(host->name) == seen.host);
    }
  }
  return 0;
}
