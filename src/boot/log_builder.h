// Event logs built for tests: with any banks, and events whose digest is that of their data or of other
// bytes.
//
//   LogBuilder builder({HashAlg::kSha256});
//   builder.Add(7, kEfiVariableDriverConfig, VariableData(kGlobalGuid, "SecureBoot", {1}))
//       .Add(7, kSeparator, Bytes(4));
//   ASSAY_ASSIGN(EventLog log, ParseEventLog(builder.bytes()));
//
// Contract: only for tests. Without banks the log is a TCG 1.2 log.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "boot/event_log.h"

namespace assay::boot {

inline Bytes Utf16(std::string_view text, bool with_nul = true) {
  Writer w;
  for (char c : text) w.U16Le(static_cast<unsigned char>(c));
  if (with_nul) w.U16Le(0);
  return w.Take();
}

inline Bytes BytesOf(std::string_view text) { return ToBytes(AsBytes(text)); }

// The GUIDs' first eight bytes as they lie in memory, the rest as printed.
struct TestGuid {
  std::uint32_t a;
  std::uint16_t b, c;
  std::uint64_t d;
};
inline constexpr TestGuid kGlobalGuid = {0x8be4df61, 0x93ca, 0x11d2, 0xaa0d00e098032b8c};
inline constexpr TestGuid kDatabaseGuid = {0xd719b2cb, 0x3d3a, 0x4596, 0xa3bcdad00e67656f};
inline constexpr TestGuid kSha256TypeGuid = {0xc1c41626, 0x504c, 0x4092, 0xaca941f936934328};

inline void PutGuid(Writer& w, const TestGuid& g) { w.U32Le(g.a).U16Le(g.b).U16Le(g.c).U64Be(g.d); }

inline Bytes VariableData(const TestGuid& guid, std::string_view name, const Bytes& value) {
  Writer w;
  PutGuid(w, guid);
  w.U64Le(name.size()).U64Le(value.size()).Put(Utf16(name, false)).Put(value);
  return w.Take();
}

inline Bytes StartupLocalityData(std::uint8_t locality) {
  Writer w;
  w.Put("StartupLocality").U8(0).U8(locality);
  return w.Take();
}

class LogBuilder {
 public:
  explicit LogBuilder(std::vector<HashAlg> banks) : banks_(std::move(banks)) {
    if (banks_.empty()) return;
    std::vector<AlgorithmSize> algorithms;
    algorithms.reserve(banks_.size());
    for (HashAlg bank : banks_)
      algorithms.push_back({static_cast<std::uint16_t>(bank), static_cast<std::uint16_t>(DigestSize(bank))});
    const Bytes id = EncodeSpecId(algorithms);
    Event header;
    header.type = kNoAction;
    header.data = id;
    Append(EncodeEvent(Format::kCryptoAgile, header, true));
  }
  // The digest is that of the data, in every bank.
  LogBuilder& Add(std::uint32_t index, std::uint32_t type, const Bytes& data) {
    return Add(index, type, data, data);
  }
  // The digest is that of `hashed`.
  LogBuilder& Add(std::uint32_t index, std::uint32_t type, const Bytes& data, const Bytes& hashed) {
    std::vector<Digest> digests;
    for (HashAlg bank : banks_.empty() ? std::vector<HashAlg>{HashAlg::kSha1} : banks_)
      digests.push_back(type == kNoAction ? Digest::Filled(bank, 0) : Hash(bank, hashed));
    return AddDigests(index, type, data, digests);
  }
  LogBuilder& AddDigests(std::uint32_t index, std::uint32_t type, const Bytes& data,
                         const std::vector<Digest>& digests) {
    Event e;
    e.index = index;
    e.type = type;
    e.data = data;
    for (const Digest& d : digests) e.digests.push_back({static_cast<std::uint16_t>(d.alg()), d.view()});
    Append(EncodeEvent(banks_.empty() ? Format::kTcg12 : Format::kCryptoAgile, e));
    return *this;
  }
  LogBuilder& AddRaw(const Bytes& raw) {
    Append(raw);
    return *this;
  }
  LogBuilder& Separators(std::initializer_list<std::uint32_t> indexes) {
    for (std::uint32_t i : indexes) Add(i, kSeparator, Bytes(4));
    return *this;
  }
  // The events that every firmware measures, up to PCR 7's separator. The other separators are not added.
  LogBuilder& Firmware(bool secure_boot = true) {
    Add(0, kSCrtmVersion, Utf16("v1"));
    Add(7, kEfiVariableDriverConfig,
        VariableData(kGlobalGuid, "SecureBoot", {static_cast<std::uint8_t>(secure_boot ? 1 : 0)}));
    for (const char* name : {"PK", "KEK"})
      Add(7, kEfiVariableDriverConfig, VariableData(kGlobalGuid, name, {}));
    for (const char* name : {"db", "dbx"})
      Add(7, kEfiVariableDriverConfig, VariableData(kDatabaseGuid, name, {}));
    return Separators({7});
  }
  LogBuilder& ReadyToBoot() { return Separators({0, 1, 2, 3, 4, 5, 6}); }
  LogBuilder& Exit() {
    Add(5, kEfiAction, BytesOf("Exit Boot Services Invocation"));
    return Add(5, kEfiAction, BytesOf("Exit Boot Services Returned with Success"));
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  void Append(const Bytes& more) { bytes_.insert(bytes_.end(), more.begin(), more.end()); }
  std::vector<HashAlg> banks_;
  Bytes bytes_;
};

}  // namespace assay::boot
