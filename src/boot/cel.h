// The TLV form of the TCG Canonical Event Log, which ParseEventLog() (event_log.h) reads with these
// functions.
//
//   // given: ByteView file
//   if (!LooksLikeCel(file)) return Fail(ParseError{"event-log", 0, "not a CEL"});
//   ASSAY_ASSIGN(EventLog log, ParseCel(file, {}));
//
// One record has the fields recnum {0, u64}, register {1 PCR, 2 NV index, 108 CC register}, digests {3, {alg,
// digest}...} and content {type, ...}. Each field is {u8 type, u32 length, value}, big-endian.
// docs/formats/eventlog.md has a worked example.
//
// Contract: as event_log.h's. Errors are ParseErrors "parse.cel". Record numbers must count up by one for
// each register or for the whole log (both are in use). Source: TCG Canonical Event Log Format 1.0, section
// 5; type 108 is google/go-eventlog's for CC registers.
#pragma once

#include "boot/event_log.h"

namespace assay::boot {

bool LooksLikeCel(ByteView data);
Result<EventLog> ParseCel(ByteView data, const ParseOptions& options);
// An event without CelFields becomes a PCR's PCCLIENT_STD record with the number event.number.
Bytes EncodeCelEvent(const Event& event);

}  // namespace assay::boot
