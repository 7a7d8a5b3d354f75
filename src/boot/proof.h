// Does an event's digest prove what its data says? The digest is in the PCR; the data is only in the log,
// where anyone who can edit the log can write what he likes.
//
//   const Proof p = Prove(log, event, HashAlg::kSha256);
//   if (p.grade == Grade::kProven) Trust(event.data);
//   if (p.grade == Grade::kPartly) Trust(p.covered);           // GRUB's command without its prefix, ...
//
// Contract: kProven and kPartly mean that a hash over `covered` (or over another spelling of it, as `how`
// says), recomputed here, is the event's digest in this bank: for an event whose register replays to a quoted
// value, `covered` is then what was measured. The event's type and the parts outside `covered` are never
// measured: `how` says so where it matters. All else is kUnproven with the reason. Source: TCG PC Client
// Platform Firmware Profile 1.06, sections 3.3.4 and 10.4; EDK2, GRUB, shim, systemd and Linux for what they
// hash in fact.
#pragma once

#include <string_view>

#include "boot/event_data.h"

namespace assay::boot {

enum class Grade {
  kProven,       // the digest covers the whole event data
  kPartly,       // it covers the part of it that matters, not all
  kUnproven,     // it is a digest of something that is not in the log, or of something else
  kNotMeasured,  // EV_NO_ACTION: nothing of it is in any register
};
std::string_view GradeName(Grade grade);  // "proven", "partly", "unproven", "not-measured"

struct Proof {
  Grade grade = Grade::kUnproven;
  ByteView covered;      // kProven, kPartly: what was hashed, as it lies in the event data
  std::string_view how;  // a sentence without its full stop
};
Proof Prove(const EventLog& log, const Event& event, HashAlg bank);
// The same where the event is decoded already.
Proof Prove(const EventLog& log, const Event& event, HashAlg bank, const Decoded& decoded);

// Is the event's digest in this bank the hash of `bytes`? For what the log does not hold but the caller
// knows.
bool DigestIs(const Event& event, HashAlg bank, ByteView bytes);

}  // namespace assay::boot
