#include "boot/replay.h"

#include <algorithm>

#include "base/name_table.h"
#include "boot/event_data.h"
#include "boot/expected.h"

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

// The value of a register before its first event. extended: whether it has an event. A DRTM event sets PCR 17
// to 22 to zero before it extends them; without one they are all-ones.
Digest FirstValue(const Replayed& replayed, HashAlg bank, std::uint32_t index, bool extended) {
  constexpr std::uint32_t kFirstDynamic = 17, kLastDynamic = 22;
  const bool pcr = replayed.registers == Registers::kPcr;
  Digest value =
      Digest::Filled(bank, pcr && !extended && index >= kFirstDynamic && index <= kLastDynamic ? 0xFF : 0);
  if (pcr && index == 0) value.data()[value.size() - 1] = replayed.startup_locality;
  return value;
}

// Extends a register by one event in one bank. bytes: the event's digest; it is unknown if it is empty or has
// another size.
void Extend(Replayed& out, HashAlg bank, std::uint32_t index, std::uint64_t number, ByteView bytes) {
  const auto [it, is_new] = out.banks[bank].try_emplace(index);
  ReplayedRegister& r = it->second;
  if (is_new) r.value = FirstValue(out, bank, index, true);
  ++r.events;
  const auto digest = Digest::Of(bank, bytes);
  if (digest)
    r.value = ExtendPcr(r.value, *digest);
  else if (r.no_value.empty())
    r.no_value = "event " + std::to_string(number) + " has no digest in this bank";
}

std::uint32_t RegisterCount(Registers registers) {
  return registers == Registers::kPcr ? kPcrCount : kCcRegisterCount;
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  static constexpr auto kNames = Names<Outcome>(
      {{Outcome::kMatch, "match"}, {Outcome::kMismatch, "mismatch"}, {Outcome::kUnknown, "unknown"}});
  return kNames.Of(outcome);
}

std::optional<Digest> Replayed::Value(HashAlg bank, std::uint32_t index) const {
  const auto of_bank = banks.find(bank);
  if (of_bank == banks.end()) return std::nullopt;
  const auto it = of_bank->second.find(index);
  if (it == of_bank->second.end()) return FirstValue(*this, bank, index, false);
  if (!it->second.no_value.empty()) return std::nullopt;
  return it->second.value;
}

Replayed Replay(const EventLog& log) {
  Replayed out;
  out.registers = log.registers;
  out.startup_locality = StartupLocalityOf(log);
  for (HashAlg bank : log.Banks()) {
    out.banks[bank];
    for (const Event& e : log.events) {
      if (!e.measured() || e.index >= RegisterCount(log.registers)) continue;
      const LogDigest* logged = e.Find(bank);
      Extend(out, bank, e.index, e.number, logged != nullptr ? logged->bytes : ByteView());
    }
  }
  return out;
}

Replayed Replay(const ExpectedBoot& expected) {
  Replayed out;
  out.registers = expected.registers;
  out.startup_locality = expected.startup_locality;
  auto& registers = out.banks[expected.bank];
  for (std::size_t i = 0; i < expected.events.size(); ++i) {
    const ExpectedEvent& e = expected.events[i];
    if (e.index >= RegisterCount(expected.registers)) continue;
    const auto digest = FromHex(e.digest);
    Extend(out, expected.bank, e.index, i, digest ? *digest : Bytes());
  }
  for (const OpenRegister& r : expected.open) registers[r.index].no_value = r.reason;
  return out;
}

std::vector<Comparison> Compare(const Replayed& replayed, const tpm::PcrValues& given) {
  const std::uint32_t count = RegisterCount(replayed.registers);
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
      else if (!CanReplay(*alg))
        c.reason = "this bank's hash can't be computed here";
      else if (!replayed.banks.contains(*alg))
        c.reason = "there are no digests of this bank";
      else if (index >= count)
        c.reason = "no such register";
      else if (c.replayed = replayed.Value(*alg, index); !c.replayed)
        c.reason = replayed.banks.at(*alg).at(index).no_value;
      else if (*c.replayed == value)
        c.outcome = Outcome::kMatch;
      else {
        c.outcome = Outcome::kMismatch;
        c.reason = "the events do not replay to this value";
      }
      out.push_back(std::move(c));
    }
  }
  return out;
}

std::vector<Digest> MissingExit(const EventLog& log, const Replayed& replayed, HashAlg bank,
                                std::uint32_t index, const Digest& given) {
  constexpr std::uint32_t kExitPcr = 5;
  const std::uint32_t exit_register =
      log.registers == Registers::kPcr ? kExitPcr : *CcRegisterOfPcr(kExitPcr);
  if (index != exit_register || !CanReplay(bank) || given.alg() != bank) return {};
  const std::optional<Digest> value = replayed.Value(bank, index);
  if (!value) return {};
  std::vector<Digest> digests;
  Digest extended = *value;
  for (const std::string_view text : {kExitInvocation, kExitSuccess}) {
    digests.push_back(Hash(bank, AsBytes(text)));
    extended = ExtendPcr(extended, digests.back());
  }
  const bool logged = std::any_of(log.events.begin(), log.events.end(), [&](const Event& e) {
    const LogDigest* d = e.Find(bank);
    return e.measured() && e.index == index && d != nullptr &&
           std::any_of(digests.begin(), digests.end(),
                       [d](const Digest& m) { return Equal(m.view(), d->bytes); });
  });
  return !logged && extended == given ? digests : std::vector<Digest>();
}

std::vector<Digest> BootAggregates(HashAlg bank, const std::map<std::uint32_t, Digest>& pcrs) {
  std::vector<Digest> out;
  if (!CanReplay(bank)) return out;
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
