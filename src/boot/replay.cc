#include "boot/replay.h"

#include <algorithm>

#include "boot/event_data.h"

namespace assay::boot {
namespace {

std::uint8_t StartupLocalityOf(const EventLog& log) {
  constexpr std::uint8_t kHcrtmLocality = 4;
  if (log.registers != Registers::kPcr) return 0;
  for (const Event& e : log.events) {
    if (e.index != 0) continue;
    if (e.measured()) return e.type == kEfiHcrtmEvent ? kHcrtmLocality : 0;
    const Decoded decoded = DecodeEvent(log, e);
    const auto* locality = std::get_if<StartupLocality>(&decoded.body);
    if (locality != nullptr &&
        (locality->locality == 0 || locality->locality == 3 || locality->locality == kHcrtmLocality))
      return locality->locality;
  }
  return 0;
}

// extended: a DRTM event sets PCR 17 to 22 to zero before it extends them; without one they stay all-ones.
Digest FirstValue(const Replayed& replayed, HashAlg bank, std::uint32_t index, bool extended) {
  constexpr std::uint32_t kFirstDynamic = 17, kLastDynamic = 22;
  const bool pcr = replayed.registers == Registers::kPcr;
  Digest value =
      Digest::Filled(bank, pcr && !extended && index >= kFirstDynamic && index <= kLastDynamic ? 0xFF : 0);
  if (pcr && index == 0) value.data()[value.size() - 1] = replayed.startup_locality;
  return value;
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  return outcome == Outcome::kMatch ? "match" : outcome == Outcome::kMismatch ? "mismatch" : "unknown";
}

std::optional<Digest> Replayed::Value(HashAlg bank, std::uint32_t index) const {
  const auto of_bank = banks.find(bank);
  if (of_bank == banks.end()) return std::nullopt;
  const auto it = of_bank->second.find(index);
  if (it == of_bank->second.end()) return FirstValue(*this, bank, index, false);
  return it->second.missing ? std::nullopt : std::optional<Digest>(it->second.value);
}

Replayed Replay(const EventLog& log) {
  Replayed out;
  out.registers = log.registers;
  out.startup_locality = StartupLocalityOf(log);
  const std::uint32_t count = log.registers == Registers::kPcr ? kPcrCount : kCcRegisterCount;
  for (HashAlg bank : log.Banks()) {
    auto& registers = out.banks[bank];
    for (const Event& e : log.events) {
      if (!e.measured() || e.index >= count) continue;
      const auto [it, is_new] = registers.try_emplace(e.index);
      ReplayedRegister& r = it->second;
      if (is_new) r.value = FirstValue(out, bank, e.index, true);
      ++r.events;
      const LogDigest* logged = e.Find(bank);
      const auto digest = logged != nullptr ? Digest::Of(bank, logged->bytes) : Result<Digest>(Digest());
      if (logged == nullptr || !digest) {
        if (!r.missing) r.missing = e.number;
        continue;
      }
      r.value = ExtendPcr(r.value, *digest);
    }
  }
  return out;
}

std::vector<Comparison> Compare(const Replayed& replayed, const tpm::PcrValues& given) {
  const std::uint32_t count = replayed.registers == Registers::kPcr ? kPcrCount : kCcRegisterCount;
  std::vector<Comparison> out;
  for (const auto& [bank, values] : given) {
    for (const auto& [index, value] : values) {
      Comparison c;
      c.bank = bank;
      c.index = index;
      c.given = value;
      const auto alg = HashFromTpmAlg(bank);
      if (!alg || value.alg() != *alg || value.size() != DigestSize(*alg))
        c.reason = "the value is not one of its bank";
      else if (!CanHash(*alg))
        c.reason = "this bank's hash can't be computed here";
      else if (!replayed.banks.contains(*alg))
        c.reason = "the log has no digests of this bank";
      else if (index >= count)
        c.reason = "no such register";
      else if (c.replayed = replayed.Value(*alg, index); !c.replayed)
        c.reason = "event " + std::to_string(*replayed.banks.at(*alg).at(index).missing) +
                   " has no digest in this bank";
      else if (*c.replayed == value)
        c.outcome = Outcome::kMatch;
      else {
        c.outcome = Outcome::kMismatch;
        c.reason = "the log does not replay to this value";
      }
      out.push_back(std::move(c));
    }
  }
  return out;
}

std::vector<Digest> BootAggregates(HashAlg bank, const std::map<std::uint32_t, Digest>& pcrs) {
  std::vector<Digest> out;
  if (!CanHash(bank)) return out;
  const auto over = [&](std::uint32_t last) {
    Hasher hasher(bank);
    for (std::uint32_t i = 0; i <= last; ++i) {
      const auto it = pcrs.find(i);
      if (it == pcrs.end() || it->second.alg() != bank || it->second.size() != DigestSize(bank)) return;
      hasher.Update(it->second.view());
    }
    out.push_back(hasher.Finish());
  };
  if (bank != HashAlg::kSha1) over(9);
  over(7);
  return out;
}

}  // namespace assay::boot
