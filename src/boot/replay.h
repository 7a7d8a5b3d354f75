// Replaying a log: what each register must hold if the log tells everything that was extended.
//
//   const Replayed r = Replay(log);
//   for (const Comparison& c : Compare(r, quoted))            // quoted: values from a verified quote
//     if (c.outcome != Outcome::kMatch) Say(c);
//   for (const Digest& d : BootAggregates(HashAlg::kSha256, pcrs)) ...   // as the kernel's IMA forms it
//
// Contract: pure. EV_NO_ACTION is not extended. PCR 0 starts at the locality of TPM2_Startup (0, 3 or 4): the
// one in a StartupLocality event that stands before PCR 0's first extension, else 4 if that extension is
// EV_EFI_HCRTM_EVENT, else 0. A register with an event that lacks this bank's digest has no value. Nothing is
// taken for matching by default: no value, no bank, or an algorithm that can't be computed is
// Outcome::kUnknown with a reason. Source: TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4.2
// and 10.4.5.3; PC Client Platform TPM Profile 1.05, section 4.6; Linux 6.12
// security/integrity/ima/ima_crypto.c (ima_calc_boot_aggregate).
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
  std::string no_value;  // why it has none: its events or their digests are not all known; empty: it has one
};
struct Replayed {
  Registers registers = Registers::kPcr;
  std::uint8_t startup_locality = 0;  // PCR 0's first value
  // Registers that the log extends; of banks that can be computed.
  std::map<HashAlg, std::map<std::uint32_t, ReplayedRegister>> banks;
  // The register's value, also of one the log does not touch; nullopt: no such bank, or `no_value`.
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
std::vector<Comparison> Compare(const Replayed& replayed, const tpm::PcrValues& given);

// Some firmware measures ExitBootServices into PCR 5 (RTMR[1]) and leaves it out of the log. The digests of
// "Exit Boot Services Invocation" and "... Returned with Success", if the log has neither there, and the
// register as it replays, extended with these two, has the value given; else empty.
std::vector<Digest> MissingExit(const EventLog& log, const Replayed& replayed, HashAlg bank,
                                std::uint32_t index, const Digest& given);

// The values that IMA's first record may hold for these PCRs: SHA-1 over PCR 0 to 7; other banks over PCR 0
// to 9 since Linux 5.8, over 0 to 7 before (in that order). Empty when a PCR is not there.
std::vector<Digest> BootAggregates(HashAlg bank, const std::map<std::uint32_t, Digest>& pcrs);

}  // namespace assay::boot
