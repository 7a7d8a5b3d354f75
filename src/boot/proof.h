// Whether an event's digest proves its data. The digest is in the PCR; the data is only in the log, where an
// attacker who can edit the log can write anything.
//
//   // given: const EventLog& log, const Event& event
//   const Proof proof = Prove(log, event, HashAlg::kSha256);
//   if (proof.grade == Grade::kProven) log::Info("{} bytes are proven", event.data.size());
//   if (proof.grade == Grade::kPartly) log::Info("{} bytes are proven", proof.covered.size());
//
// Contract: kProven and kPartly mean that the hash over `covered` (or over another encoding of it, as `how`
// says), recomputed here, is the event's digest in this bank. If the event's register also replays to a
// quoted value, `covered` is what was measured. The event's type and the bytes outside `covered` are never
// measured; `how` says so where it matters. All other events are kUnproven, with the reason. Source: TCG PC
// Client Platform Firmware Profile 1.06, sections 3.3.4 and 10.4; the sources of EDK2, GRUB, shim, systemd
// and Linux for what they hash.
#pragma once

#include <string_view>

#include "boot/event_data.h"

namespace assay::boot {

enum class Grade {
  kProven,       // the digest covers the whole event data
  kPartly,       // the digest covers a part of the event data
  kUnproven,     // the digest is of bytes that are not in the log, or does not fit the data
  kNotMeasured,  // EV_NO_ACTION: it is extended into no register
};
std::string_view GradeName(Grade grade);  // "proven", "partly", "unproven", "not-measured"

struct Proof {
  Grade grade = Grade::kUnproven;
  ByteView covered;      // kProven, kPartly: what was hashed, as it lies in the event data
  std::string_view how;  // a sentence without its full stop
};
Proof Prove(const EventLog& log, const Event& event, HashAlg bank);
// The same for an event that is already decoded.
Proof Prove(const EventLog& log, const Event& event, HashAlg bank, const Decoded& decoded);

// Whether the event's digest in this bank is the hash of `bytes`, which the caller knows and the log need not
// hold.
bool DigestIs(const Event& event, HashAlg bank, ByteView bytes);

}  // namespace assay::boot
