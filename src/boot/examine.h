// The examination of a log in one bank: every event is decoded and graded, and the whole log is checked
// against the rules of the profile.
//
//   // given: const EventLog& log
//   const Examined x = Examine(log, HashAlg::kSha256);
//   for (const Problem& p : Check(x)) log::Info("{}: {}", p.name, p.text);   // "secure-boot.repeated: ..."
//
// Contract: pure, never fails. Problems have stable dotted names (docs/formats/eventlog.md lists them all)
// and the numbers of the events concerned. The severity says what an attacker who can edit the log, or extend
// registers after the firmware, gains by the problem; not how rare it is. kError: the log could tell
// something else than was measured. kWarning: unusual, but an attacker gains nothing. kNote: information for
// the reader. A log without errors is not proven by that: its replay must also match a quote. Source: TCG PC
// Client Platform Firmware Profile 1.06, sections 3.3.4, 8 and 10.4.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "boot/event_data.h"
#include "boot/proof.h"

namespace assay::boot {

// The log that it was made from must outlive it. events, decoded and proofs have the same order.
struct Examined {
  const EventLog* log = nullptr;
  HashAlg bank = HashAlg::kSha256;
  std::vector<Decoded> decoded;
  std::vector<Proof> proofs;
  // These three are told by the digest and not by the type and data in the log: types are not measured, and
  // an attacker must not hide a separator or a SecureBoot variable behind another type.
  std::vector<bool> separator;  // EV_SEPARATOR's of 0, 0xFFFFFFFF or 1 (error)
  // The digest is that of the value 1, and a setting with that value explains it.
  std::vector<bool> separator_bytes;
  std::vector<std::optional<bool>> secure_boot;  // the variable SecureBoot with this value; absent is off
  std::vector<bool> after_separator;             // of its own register
  std::size_t size() const { return decoded.size(); }
  const Event& event(std::size_t i) const { return log->events[i]; }
  // The register that stands for a PCR here: the PCR itself, or the CC register it maps to.
  bool In(std::size_t i, std::uint32_t pcr) const;
  // The text in the event or in its tagged data; empty if there is none.
  std::string TextOf(std::size_t i) const;
};
Examined Examine(const EventLog& log, HashAlg bank);

enum class Severity { kNote, kWarning, kError };
std::string_view SeverityName(Severity severity);  // "note", "warning", "error"

struct Problem {
  std::string name;
  Severity severity = Severity::kError;
  std::string text;
  std::vector<std::uint64_t> events;  // numbers
};
std::vector<Problem> Check(const Examined& x);

// The state of UEFI Secure Boot as the log proves it: the one SecureBoot variable of the firmware, measured
// before PCR 7's separator. Anything else is kUnknown.
enum class SecureBoot { kOff, kOn, kUnknown };
struct SecureBootState {
  SecureBoot state = SecureBoot::kUnknown;
  bool absent = false;  // kOff: firmware measured that there is no such variable
  std::string reason;   // of kUnknown
  std::vector<std::uint64_t> events;
};
SecureBootState FindSecureBoot(const Examined& x);

// Secure Boot's own variables: SecureBoot, PK, KEK, db, dbx, dbt, dbr under the GUIDs they belong to.
bool IsSecureBootName(std::string_view name);
bool IsSecureBootVariable(const Variable& variable);

}  // namespace assay::boot
