// PE images built for tests: a PE32+ image of named sections, one after the other.
//
//   #include "boot/log_builder.h"
//   // given: const Bytes& kernel
//   const Bytes file = BuildPe({{".linux", kernel}, {".cmdline", BytesOf("quiet")}});
//
// Contract: only for tests. VirtualSize is the content's size, SizeOfRawData the next
// multiple of 512 (as linkers and ukify do it).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace assay::boot {

inline Bytes BuildPe(const std::vector<std::pair<std::string, Bytes>>& sections) {
  constexpr std::uint32_t kAlign = 512, kPage = 4096;
  const auto up = [](std::size_t n, std::uint32_t to) {
    return static_cast<std::uint32_t>((n + to - 1) / to * to);
  };
  const std::uint32_t headers = up(64 + 24 + 112 + 128 + 40 * sections.size(), kAlign);
  Writer w;
  w.Put("MZ").Put(Bytes(58)).U32Le(64);
  w.Put("PE").U16Le(0).U16Le(0x8664).U16Le(static_cast<std::uint16_t>(sections.size()));
  w.Put(Bytes(12)).U16Le(112 + 128).U16Le(0x2022);
  w.U16Le(0x20B).Put(Bytes(58)).U32Le(headers).U32Le(0).Put(Bytes(40)).U32Le(16).Put(Bytes(128));
  std::uint32_t at = headers, address = kPage;
  for (const auto& [name, content] : sections) {
    std::string padded = name;
    padded.resize(8);
    const std::uint32_t raw = up(content.size(), kAlign);
    w.Put(padded)
        .U32Le(static_cast<std::uint32_t>(content.size()))
        .U32Le(address)
        .U32Le(raw)
        .U32Le(at)
        .Put(Bytes(16));
    at += raw;
    address += up(content.size(), kPage);
  }
  Bytes out = w.Take();
  out.resize(headers);
  for (const auto& [name, content] : sections) {
    out.insert(out.end(), content.begin(), content.end());
    out.resize(up(out.size(), kAlign));
  }
  return out;
}

}  // namespace assay::boot
