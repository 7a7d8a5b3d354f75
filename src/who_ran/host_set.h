// Internal: a set of hosts' numbers as a compressed bitmap (CRoaring inside, which is included here only).
//
//   // given: ByteView bytes, std::vector<std::uint32_t>& numbers
//   ASSAY_ASSIGN(HostSet set, HostSet::Parse(bytes, 1'000'000));
//   set.Add(numbers);
//   set.AppendTo(numbers);                   // ascending
//
// Contract: docs/formats/who-ran.md, "Sets". Parse() checks each byte before the library reads it, because
// the library trusts what it is given; a set without a host, or with numbers from `hosts` on, is refused.
#pragma once

#include <roaring/roaring.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace assay::who_ran {

class HostSet {
 public:
  HostSet() : bits_(roaring_bitmap_create()) {}
  static Result<HostSet> Parse(ByteView bytes, std::uint64_t hosts);

  void Add(std::uint32_t host) { roaring_bitmap_add(bits_.get(), host); }
  void Add(std::span<const std::uint32_t> hosts) {
    roaring_bitmap_add_many(bits_.get(), hosts.size(), hosts.data());
  }
  void Add(const HostSet& other) { roaring_bitmap_or_inplace(bits_.get(), other.bits_.get()); }
  void Remove(const HostSet& other) { roaring_bitmap_andnot_inplace(bits_.get(), other.bits_.get()); }
  HostSet Common(const HostSet& other) const {
    return HostSet(roaring_bitmap_and(bits_.get(), other.bits_.get()));
  }
  HostSet Without(const HostSet& other) const {
    return HostSet(roaring_bitmap_andnot(bits_.get(), other.bits_.get()));
  }
  bool Intersects(const HostSet& other) const {
    return roaring_bitmap_intersect(bits_.get(), other.bits_.get());
  }
  bool Has(std::uint32_t host) const { return roaring_bitmap_contains(bits_.get(), host); }
  bool empty() const { return roaring_bitmap_is_empty(bits_.get()); }
  std::uint64_t size() const { return roaring_bitmap_get_cardinality(bits_.get()); }
  void AppendTo(std::vector<std::uint32_t>& out) const;

  void Shrink() { roaring_bitmap_run_optimize(bits_.get()); }  // before EncodedSize() and Encode()
  std::size_t EncodedSize() const { return roaring_bitmap_portable_size_in_bytes(bits_.get()); }
  Bytes Encode() const;

 private:
  struct Free {
    void operator()(roaring_bitmap_t* bits) const { roaring_bitmap_free(bits); }
  };
  explicit HostSet(roaring_bitmap_t* bits) : bits_(bits) {}
  std::unique_ptr<roaring_bitmap_t, Free> bits_;
};

}  // namespace assay::who_ran
