// Replaying a log: the value that each register must have if the log holds every event that was extended.
//
//   // given: const EventLog& log, const tpm::PcrValues& quoted
//   const Replayed replayed = Replay(log);
//   for (const Comparison& c : Compare(replayed, quoted)) {                // quoted: from a verified quote
//     if (c.outcome != Outcome::kMatch) log::Info("PCR {}: {}", c.index, c.reason);
//   }
//
// Contract: pure. EV_NO_ACTION is not extended. PCR 0 starts at the locality of TPM2_Startup (0, 3 or 4): the
// one in a StartupLocality event that stands before PCR 0's first extension, else 4 if that extension is
// EV_EFI_HCRTM_EVENT, else 0. A register with an event that lacks this bank's digest has no value. Without a
// value, a bank or an algorithm that can be computed the outcome is kUnknown with a reason, never kMatch.
// Source: TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4.2 and 10.4.5.3; PC Client Platform TPM
// Profile 1.05, section 4.6; Linux 6.12 security/integrity/ima/ima_crypto.c (ima_calc_boot_aggregate).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "boot/event_log.h"
#include "tpm/attest_data.h"

namespace assay::boot {

struct ReplayedRegister {
  Digest value;
  std::uint64_t events = 0;  // extended into it
  std::string no_value;  // why it has no value: some of its events or digests are unknown; empty: it has one
};
struct Replayed {
  Registers registers = Registers::kPcr;
  std::uint8_t startup_locality = 0;  // PCR 0's first value
  // The registers that the log extends, for banks that can be computed.
  std::map<HashAlg, std::map<std::uint32_t, ReplayedRegister>> banks;
  // The register's value, also for one that the log does not extend. nullopt: the bank is missing, or the
  // register has a `no_value`.
  std::optional<Digest> Value(HashAlg bank, std::uint32_t index) const;
};
Replayed Replay(const EventLog& log);

enum class Outcome { kMatch, kMismatch, kUnknown };
std::string_view OutcomeName(Outcome outcome);  // "match", "mismatch", "unknown"

struct Comparison {
  std::uint16_t bank = 0;  // TPM_ALG_ID
  std::uint32_t index = 0;
  Digest given;
  std::optional<Digest> replayed;
  Outcome outcome = Outcome::kUnknown;
  std::string reason;                // of kUnknown and kMismatch
  std::vector<Digest> missing_exit;  // MissingExit(): what would explain a mismatch
};
// A value that was given and is not compared.
struct LeftOutValue {
  std::uint16_t bank = 0;  // TPM_ALG_ID
  std::uint32_t index = 0;
  std::string reason;
};
std::vector<Comparison> Compare(const Replayed& replayed, const tpm::PcrValues& given);

// Some firmware measures ExitBootServices into PCR 5 (RTMR[1]) and does not log it. Returns the digests of
// "Exit Boot Services Invocation" and "... Returned with Success" if the log has neither in that register,
// and the replayed value extended with both is the given one; else nothing.
std::vector<Digest> MissingExit(const EventLog& log, const Replayed& replayed, HashAlg bank,
                                std::uint32_t index, const Digest& given);

// The possible boot aggregates (IMA's first record) for these PCRs: SHA-1 over PCR 0 to 7; other banks over
// PCR 0 to 9 since Linux 5.8, and over 0 to 7 before that (in this order). Empty if a PCR is missing.
std::vector<Digest> BootAggregates(HashAlg bank, const std::map<std::uint32_t, Digest>& pcrs);

}  // namespace assay::boot
