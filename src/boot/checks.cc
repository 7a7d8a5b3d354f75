#include "boot/checks.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "boot/examine.h"

namespace assay::boot {
namespace {

bool IsZero(ByteView b) {
  return std::all_of(b.begin(), b.end(), [](std::uint8_t v) { return v == 0; });
}

// The PCRs that an event type may be in, one bit for each PCR. Types that may be in any PCR are not listed.
struct Place {
  std::uint32_t type;
  std::uint32_t pcrs;
};
constexpr std::uint32_t Bits(std::initializer_list<std::uint32_t> pcrs) {
  std::uint32_t bits = 0;
  for (std::uint32_t p : pcrs) bits |= 1U << p;
  return bits;
}
constexpr Place kPlaces[] = {
    {kSCrtmContents, Bits({0})},
    {kSCrtmVersion, Bits({0})},
    {kEfiHcrtmEvent, Bits({0})},
    {kEfiVariableDriverConfig, Bits({1, 3, 5, 7})},
    {kEfiVariableBoot, Bits({1, 5})},
    {kEfiVariableBoot2, Bits({1, 5})},
    {kEfiVariableAuthority, Bits({7})},
    {kEfiBootServicesApplication, Bits({2, 4})},
    {kEfiBootServicesDriver, Bits({0, 2, 4})},
    {kEfiRuntimeServicesDriver, Bits({0, 2, 4})},
    {kEfiGptEvent, Bits({5})},
    {kEfiGptEvent2, Bits({5})},
    {kEfiPlatformFirmwareBlob, Bits({0, 2, 4})},
    {kEfiPlatformFirmwareBlob2, Bits({0, 2, 4})},
    {kEfiHandoffTables, Bits({1})},
    {kEfiHandoffTables2, Bits({1})},
};

void CheckLog(const EventLog& log, Problems& out) {
  if (log.padding)
    out.Add("log.padding", Severity::kNote,
            fmt::format("{} bytes of {:#04x} follow the last event, from offset {}", log.padding->size,
                        log.padding->byte, log.padding->offset),
            {});
  const std::vector<HashAlg> banks = log.Banks();
  if (banks.empty())
    out.Add("log.no-bank", Severity::kError, "the log has no bank whose hash can be computed here", {});
  else if (banks == std::vector<HashAlg>{HashAlg::kSha1})
    out.Add("log.sha1-only", Severity::kWarning,
            "all digests are SHA-1: events with chosen content may collide", {});
}

void CheckDigests(const Examined& x, std::size_t i, Problems& out) {
  const EventLog& log = *x.log;
  const Event& e = x.event(i);
  if (!e.measured()) {
    if (std::any_of(e.digests.begin(), e.digests.end(), [](const LogDigest& d) { return !IsZero(d.bytes); }))
      out.Add("no-action.digest", Severity::kWarning, "EV_NO_ACTION is not extended, but has a digest",
              {e.number});
    return;
  }
  // Without a digest in the examined bank, the register has an unknown value or was not extended. A digest
  // that is missing in another bank does not matter for this one.
  if (e.Find(x.bank) == nullptr)
    out.Add("digest.missing", Severity::kError, "the event lacks a digest in the examined bank", {e.number});
  else if (e.digests.size() < log.algorithms.size())
    out.Add("digest.missing", Severity::kNote, "the event lacks a digest in a bank that is not examined",
            {e.number});
  const auto covers = [](Grade grade) { return grade == Grade::kProven || grade == Grade::kPartly; };
  const bool judged = covers(x.proofs[i].grade);
  for (HashAlg bank : log.Banks()) {
    if (bank == x.bank || e.Find(bank) == nullptr ||
        covers(Prove(log, e, bank, x.decoded[i]).grade) == judged)
      continue;
    // The data fits only the digest of another bank, so it may be an attacker's, written without regard to
    // the examined bank.
    out.Add("digest.banks-differ", judged ? Severity::kWarning : Severity::kError,
            judged ? "the digest in the examined bank proves the data, but that of another bank does not"
                   : "the digest of another bank proves the data, but that of the examined bank does not",
            {e.number});
    return;
  }
}

void CheckRegister(const EventLog& log, const Event& e, Problems& out) {
  if (!e.measured()) return;
  const std::uint32_t count = log.registers == Registers::kPcr ? kPcrCount : kCcRegisterCount;
  if (e.index >= count)
    out.Add("register.out-of-range", Severity::kError,
            fmt::format("there is no register {}, so it can't have been extended", e.index), {e.number});
  else if (log.registers == Registers::kCc && e.index == 0)
    out.Add("register.not-extendable", Severity::kWarning, "MRTD is fixed at launch and can't be extended",
            {e.number});
  if (log.registers != Registers::kPcr || e.index >= kPcrCount) return;
  for (const Place& place : kPlaces) {
    if (place.type == e.type && (place.pcrs >> e.index & 1) == 0)
      out.Add("type.register", Severity::kWarning,
              fmt::format("{} does not belong in PCR {}", EventTypeName(e.type), e.index), {e.number});
  }
}

void CheckContent(const Examined& x, std::size_t i, Problems& out) {
  const Event& e = x.event(i);
  if (!IsKnownEventType(e.type) && e.type != kNoCelType)
    out.Add("type.unknown", Severity::kNote,
            fmt::format("event type {} is not in the profile", EventTypeName(e.type)), {e.number});
  if (!x.decoded[i].fault.empty())
    out.Add("data.malformed", Severity::kWarning,
            fmt::format("{}: {}", EventTypeName(e.type), Printable(x.decoded[i].fault)), {e.number});
  const ByteView trailing = x.decoded[i].trailing;
  if (!trailing.empty())
    out.Add("data.trailing", IsZero(trailing) ? Severity::kNote : Severity::kWarning,
            fmt::format("{}: {} {}bytes follow the data", EventTypeName(e.type), trailing.size(),
                        IsZero(trailing) ? "zero " : ""),
            {e.number});
  const auto* v = std::get_if<Variable>(&x.decoded[i].body);
  if (v == nullptr) return;
  if (!v->fault.empty())
    out.Add("variable.malformed", Severity::kWarning,
            fmt::format("{}: {}", Printable(v->name), Printable(v->fault)), {e.number});
  if (v->trailing != 0)
    out.Add("variable.trailing", Severity::kWarning,
            fmt::format("{}: {} bytes follow the value", Printable(v->name), v->trailing), {e.number});
}

// EV_NO_ACTION events that change how the rest of the log is read, and the events that they refer to.
void CheckStartup(const Examined& x, Problems& out) {
  bool extended = false, seen = false, hcrtm = false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    if (const auto* id = std::get_if<SpecId>(&x.decoded[i].body)) {
      if (i > 0)
        out.Add("spec-id.repeated", Severity::kError, "a Spec ID header in the middle of the log",
                {e.number});
      const int major = id->signature == "Spec ID Event03" ? 2 : 1;
      if (id->version_major != major)
        out.Add("spec-id.version", Severity::kWarning,
                fmt::format("\"{}\" of version {}.{}: read as one of version {}", id->signature,
                            id->version_major, id->version_minor, major),
                {e.number});
    }
    if (const auto* locality = std::get_if<StartupLocality>(&x.decoded[i].body)) {
      if (e.index != 0)
        out.Add("startup-locality.register", Severity::kError, "StartupLocality belongs to PCR 0",
                {e.number});
      if (locality->locality != 0 && locality->locality != 3 && locality->locality != 4)
        out.Add("startup-locality.value", Severity::kError,
                fmt::format("locality {} can't start a TPM", locality->locality), {e.number});
      if (seen)
        out.Add("startup-locality.repeated", Severity::kError, "a second StartupLocality", {e.number});
      if (extended)
        out.Add("startup-locality.late", Severity::kError,
                "StartupLocality comes after the first extension of PCR 0, so it is ignored", {e.number});
      seen = true;
    }
    if (e.type == kEfiHcrtmEvent) {
      if (hcrtm || extended)
        out.Add("hcrtm.order", Severity::kError, "the H-CRTM's event is not the first of PCR 0", {e.number});
      hcrtm = true;
    }
    if (e.index == 0 && e.measured()) extended = true;
  }
}

void CheckExit(const Examined& x, Problems& out) {
  bool invoked = false, done = false;
  std::vector<std::uint64_t> after;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    const bool firmware = x.log->registers == Registers::kPcr ? e.index <= 7 : e.index <= 2;
    if (done && e.measured() && firmware) after.push_back(e.number);
    if (e.type != kEfiAction || !x.In(i, 5)) continue;
    const std::string text = x.TextOf(i);
    if (text == kExitInvocation) {
      invoked = true;
    } else if (text == kExitSuccess) {
      if (!invoked)
        out.Add("exit-boot-services.order", Severity::kError,
                "ExitBootServices returned before it was called", {e.number});
      done = true;
    }
  }
  if (!after.empty())
    out.Add("event.after-exit", Severity::kError,
            "the firmware's registers were extended after ExitBootServices", after);
  if (!done)
    out.Add("exit-boot-services.missing", Severity::kNote, "the log ends before ExitBootServices returned",
            {});
}

}  // namespace

std::vector<Problem> Check(const Examined& x) {
  Problems out;
  CheckLog(*x.log, out);
  for (std::size_t i = 0; i < x.size(); ++i) {
    CheckDigests(x, i, out);
    CheckRegister(*x.log, x.event(i), out);
    CheckContent(x, i, out);
  }
  CheckStartup(x, out);
  CheckSeparators(x, out);
  CheckSecureBoot(x, out);
  CheckActions(x, out);
  CheckExit(x, out);
  return out.Take();
}

}  // namespace assay::boot
