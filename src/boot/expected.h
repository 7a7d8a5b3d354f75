// The expected boot: the digests that a boot measured, in each register's order, with a label for each, kept
// to be compared with later boots.
//
//   // given: const Examined& first, const Examined& second
//   const ExpectedBoot before = Learn(first);
//   ASSAY_ASSIGN(std::vector<BootDifference> differences, Diff(before, Learn(second)));
//   for (const BootDifference& d : differences) log::Info("{}{}", d.added ? '+' : '-', d.event.label);
//
// Contract: pure. Learn from a log only after its replay matched a quote: these functions do not check that.
// Diff() compares register, type and digest of each event, in order; labels are for people and are not
// compared. Registers that are `open` in one of the two boots are left out, and NotCompared() names them.
// Both boots must have the same bank and kind of registers, else StateError "boot.not-comparable".
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
// A register whose next value can't be predicted from what is known (predict.h).
struct OpenRegister {
  std::uint32_t index = 0;
  std::string reason;  // printable
  bool operator==(const OpenRegister&) const = default;
};
struct ExpectedBoot {
  HashAlg bank = HashAlg::kSha256;
  Registers registers = Registers::kPcr;
  std::uint8_t startup_locality = 0;  // PCR 0's first value
  // The measured events in the log's order, without those of open registers.
  std::vector<ExpectedEvent> events;
  std::vector<OpenRegister> open;  // ascending
  bool operator==(const ExpectedBoot&) const = default;
};
ExpectedBoot Learn(const Examined& x);

struct BootDifference {
  bool added = false;  // else removed
  ExpectedEvent event;
};
// By register, in order. Empty: the boots are the same.
Result<std::vector<BootDifference>> Diff(const ExpectedBoot& before, const ExpectedBoot& after);
std::vector<OpenRegister> NotCompared(const ExpectedBoot& before, const ExpectedBoot& after);

// The value of each register after such a boot; an open register has none. Events of an index that is no
// register's are left out, as Replay() of a log does.
Replayed Replay(const ExpectedBoot& expected);

// A short printable description of one event, for a list; may be empty.
std::string EventLabel(const Examined& x, std::size_t i);

}  // namespace assay::boot
