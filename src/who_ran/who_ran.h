// The inverse of measurement lists: which hosts ran a content, and when.
//
//   // given: const Digest& digest
//   ASSAY_ASSIGN(Updates updates, Updates::Onto("fleet.who"));
//   ASSAY_ASSIGN(const Round round, updates.Begin({.host = "web1", .boot_id = "1b0a", .time_ms = NowMs()}));
//   updates.Ran(round, ValueOf(digest));
//   ASSAY_TRY(updates.Write());
//   ASSAY_ASSIGN(const WhoRan index, WhoRan::Open("fleet.who"));
//   ASSAY_ASSIGN(const std::vector<Seen> seen, index.When(ValueOf(digest)));
//   for (const Seen& s : seen) log::Info("host {} from day {}", s.host, s.first.from);
//
// Contract: docs/formats/who-ran.md. An index is derived: it holds nothing that the evidence does not, and is
// built anew from it where hosts are to be forgotten. A file is mapped and immutable, and replaced at once.
// Each place that is read from it is checked when it is used; a damaged file gives a named error, never a
// crash. Days are since 1970 in UTC. A value is "seen" on the day of the evidence in which it is new.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"

namespace assay::who_ran {

// What a host ran: the SHA-256 of a content, or a name for a digest of another kind.
struct Value {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Value&) const = default;
};
Value ValueOf(const Digest& digest);
// A digest as results have it: "sha256:9f86...", "verity:sha256:9f86...".
Value ValueOf(std::string_view digest_text);

struct Period {
  std::uint16_t from = 0, to = 0;  // days; both belong to it
  bool operator==(const Period&) const = default;
};
// Of the first and the last time that the host ran it, on some day of each period.
struct Seen {
  std::uint32_t host = 0;
  Period first, last;
  bool operator==(const Seen&) const = default;
};
struct HostFacts {
  std::string name;
  std::uint64_t first_ms = 0, last_ms = 0;  // of its first and last evidence
  std::uint64_t boot_ms = 0;                // of the first evidence of its last boot
};
// Whether it is in the list of the host's last boot (to the day).
bool InLastBoot(const Seen& seen, const HostFacts& host);
std::string PeriodText(const Period& period);  // "2026-11-30", "2026-11-01 to 2026-11-30"

struct IndexFile;

class WhoRan {
 public:
  static Result<WhoRan> Open(const std::string& path);
  static Result<WhoRan> OfBytes(Bytes bytes);
  WhoRan(WhoRan&&) noexcept;
  WhoRan& operator=(WhoRan&&) noexcept;
  ~WhoRan();
  std::uint64_t values() const;
  std::uint64_t hosts() const;
  bool Knows(const Value& value) const;
  Result<std::vector<std::uint32_t>> Which(const Value& value) const;  // the hosts' numbers, ascending
  Result<std::vector<Seen>> When(const Value& value) const;            // by hosts' numbers, ascending
  Result<std::vector<Seen>> When(std::span<const Value> any_of) const;
  Result<HostFacts> HostAt(std::uint32_t number) const;
  std::optional<std::uint32_t> HostNumber(std::string_view name) const;
  // Reads the whole file. Open() sees a header that is damaged or a file that was cut short only.
  Result<> CheckAll() const;

 private:
  explicit WhoRan(std::unique_ptr<IndexFile> file);
  std::unique_ptr<IndexFile> file_;
};

// What the evidence of one round says of its host.
struct RoundFacts {
  std::string host;     // 1 to 255 bytes
  std::string boot_id;  // as the attester says it
  std::uint64_t time_ms = 0;
};
struct Round {
  std::uint32_t host = 0;
  std::uint16_t day = 0;
};

// Additions to an index. In memory are only these, and a row for each value and each host.
class Updates {
 public:
  // No file at this path: a new index.
  static Result<Updates> Onto(const std::string& path);
  Updates(Updates&&) noexcept;
  ~Updates();
  Result<Round> Begin(const RoundFacts& facts);
  void Ran(const Round& round, const Value& value);
  std::size_t bytes() const;  // about as much memory as the additions take
  // Merges the additions into the file, which is replaced at once. It then takes more. What the file held
  // before is checked first: damage does not get a new checksum.
  Result<> Write();

 private:
  struct Impl;
  explicit Updates(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::who_ran
