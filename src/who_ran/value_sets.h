// Internal: the hosts of one value by when they first and last ran it.
//
//   // given: ByteView bytes, const HostSet& hosts
//   ASSAY_ASSIGN(ValueSets sets, ValueSets::Parse(bytes, 1'000'000));
//   sets.Add({.day = 20'423, .hosts = hosts});
//   const Bytes written = sets.Encode();
//
// Contract: docs/formats/who-ran.md. Additions may come in any order of days: first and last are the least
// and the greatest. Encode() puts neighbouring periods together where the sets would be too large.
#pragma once

#include <vector>

#include "who_ran/format.h"
#include "who_ran/host_set.h"
#include "who_ran/who_ran.h"

namespace assay::who_ran {

struct PeriodSet {
  Period period;
  HostSet hosts;
};

class ValueSets {
 public:
  static Result<ValueSets> Parse(ByteView bytes, std::uint64_t hosts);
  struct OfDay {
    std::uint16_t day;
    const HostSet& hosts;
  };
  void Add(const OfDay& added);
  Bytes Encode();
  const HostSet& All() const { return all_; }
  // Each period ascends, and none overlaps another.
  const std::vector<PeriodSet>& first() const { return first_; }
  const std::vector<PeriodSet>& last() const { return last_; }
  bool Whole() const;  // each host is in one set of first, and at most one of last

 private:
  static HostSet& Of(std::vector<PeriodSet>& sets, std::uint16_t day);
  void AddKnown(std::uint16_t day, const HostSet& hosts);
  void NoteLast(std::uint16_t day, const HostSet& hosts);
  void Fit();
  HostSet all_;  // of first_
  std::vector<PeriodSet> first_, last_;
};

}  // namespace assay::who_ran
