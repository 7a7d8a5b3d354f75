// What a boot measured, kept to be compared with later boots: the digests in each register's order, with
// words for the reader.
//
//   const ExpectedBoot before = Learn(Examine(log, bank));
//   for (const BootDifference& d : Diff(before, Learn(Examine(other, bank)))) Print(d.added ? '+' : '-',
//   d.event.label);
//
// Contract: pure. Learn from a log only after its replay matched a quote: nothing here checks that. Diff
// compares register, type and digest of each event, in order; labels are for people and take no part.
// Registers that one of the two says nothing of (`open`) are left out: NotCompared names them. The two
// boots must be of one bank and one kind of registers: StateError "boot.not-comparable".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "boot/examine.h"
#include "boot/replay.h"

namespace assay::boot {

struct ExpectedEvent {
  std::uint32_t index = 0;
  std::string type;
  std::string digest;  // hexadecimal
  std::string label;   // printable: a variable's name, an image's path, a text
  bool operator==(const ExpectedEvent&) const = default;
};
// A register of which this state says nothing: what the next boot measures there does not follow from what is
// known (predict.h).
struct OpenRegister {
  std::uint32_t index = 0;
  std::string reason;  // printable
  bool operator==(const OpenRegister&) const = default;
};
struct ExpectedBoot {
  HashAlg bank = HashAlg::kSha256;
  Registers registers = Registers::kPcr;
  std::uint8_t startup_locality = 0;  // PCR 0's first value
  std::vector<ExpectedEvent> events;  // measured ones, in the log's order; none of an open register
  std::vector<OpenRegister> open;     // ascending
  bool operator==(const ExpectedBoot&) const = default;
};
ExpectedBoot Learn(const Examined& x);

struct BootDifference {
  bool added = false;  // else removed
  ExpectedEvent event;
};
// By register, in order; empty: the same boot.
Result<std::vector<BootDifference>> Diff(const ExpectedBoot& before, const ExpectedBoot& after);
std::vector<OpenRegister> NotCompared(const ExpectedBoot& before, const ExpectedBoot& after);

// What each register holds after such a boot; an open one has no value. Indexes that are no register's are
// left out, as by Replay() of a log.
Replayed Replay(const ExpectedBoot& expected);

// One event in words, for a list: printable, may be empty.
std::string EventLabel(const Examined& x, std::size_t i);

}  // namespace assay::boot
