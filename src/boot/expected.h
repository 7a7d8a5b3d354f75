// What a boot measured, kept to be compared with later boots: the digests in each register's order, with
// words for the reader.
//
//   const ExpectedBoot before = Learn(Examine(log, bank));
//   for (const BootDifference& d : Diff(before, Learn(Examine(other, bank)))) Print(d.added ? '+' : '-',
//   d.event.label);
//
// Contract: pure. Learn from a log only after its replay matched a quote: nothing here checks that. Diff
// compares register, type and digest of each event, in order; labels are for people and take no part. The two
// boots must be of one bank and one kind of registers: StateError "boot.not-comparable".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "boot/examine.h"

namespace assay::boot {

struct ExpectedEvent {
  std::uint32_t index = 0;
  std::string type;
  std::string digest;  // hexadecimal
  std::string label;   // printable: a variable's name, an image's path, a text
};
struct ExpectedBoot {
  HashAlg bank = HashAlg::kSha256;
  Registers registers = Registers::kPcr;
  std::vector<ExpectedEvent> events;  // measured ones, in the log's order
};
ExpectedBoot Learn(const Examined& x);

struct BootDifference {
  bool added = false;  // else removed
  ExpectedEvent event;
};
// By register, in order; empty: the same boot.
Result<std::vector<BootDifference>> Diff(const ExpectedBoot& before, const ExpectedBoot& after);

// One event in words, for a list: printable, may be empty.
std::string EventLabel(const Examined& x, std::size_t i);

}  // namespace assay::boot
