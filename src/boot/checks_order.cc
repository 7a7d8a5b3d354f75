#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/text.h"
#include "boot/checks.h"

namespace assay::boot {
namespace {

constexpr std::uint32_t kFirmwarePcrs = 8;

bool IsFirmwareRegister(const Examined& x, std::uint32_t index) {
  return x.log->registers == Registers::kPcr ? index < kFirmwarePcrs : index >= 1 && index <= 2;
}

void CheckSeparatorValue(const Examined& x, std::size_t i, Problems& out) {
  const Event& e = x.event(i);
  const std::string where = RegisterName(x.log->registers, e.index);
  const auto* separator = std::get_if<Separator>(&x.decoded[i].body);
  constexpr std::array<std::uint8_t, 4> kReportedError = {1, 0, 0, 0};
  if (DigestIs(e, x.bank, kReportedError) || (separator != nullptr && separator->value == 1)) {
    out.Add("separator.error", Severity::kError, fmt::format("{}: the firmware reports an error", where),
            {e.number});
    return;
  }
  const Grade grade = x.proofs[i].grade;
  const bool covers = grade == Grade::kProven || grade == Grade::kPartly;
  // The data may be padded, but the measured bytes may not.
  if (separator == nullptr || (separator->value != 0 && separator->value != 0xFFFFFFFF) ||
      (covers && x.proofs[i].covered.size() != sizeof(separator->value)))
    out.Add("separator.value", Severity::kError,
            fmt::format("{}: a separator is four bytes of 0x00 or 0xFF", where), {e.number});
  if (!covers)
    out.Add("separator.unproven", Severity::kError, fmt::format("{}: {}", where, x.proofs[i].how),
            {e.number});
}

// The events that may follow the separator of PCR 0 to 3, 6 and 7. PCR 4 and 5 describe boot attempts, which
// come after the separator.
void CheckAfterSeparator(const Examined& x, std::size_t i, Problems& out) {
  const Event& e = x.event(i);
  if (e.type == kSeparator || e.index == 4 || e.index == 5) return;
  if (e.index == 7 && IsVariableEvent(e.type)) return;  // CheckSecureBoot() checks it
  // Tables handed to the operating system are complete only when it is about to start.
  const Severity severity = e.index == 1 ? Severity::kNote : Severity::kWarning;
  out.Add("event.after-separator", severity, fmt::format("PCR {}: extended after its separator", e.index),
          {e.number});
}

struct KnownAction {
  std::string_view text;
  std::uint32_t pcr;
  std::uint32_t also;  // the PCR that EDK2 before 2013 and many makers use; otherwise the same as pcr
};
constexpr KnownAction kActions[] = {
    {"Calling EFI Application from Boot Option", 4, 5},
    {"Returning from EFI Application from Boot Option", 4, 5},
    {"Exit Boot Services Invocation", 5, 5},
    {"Exit Boot Services Returned with Failure", 5, 5},
    {"Exit Boot Services Returned with Success", 5, 5},
    {"UEFI Debug Mode", 7, 7},
    {"DMA Protection Disabled", 7, 7},
};

}  // namespace

void CheckSeparators(const Examined& x, Problems& out) {
  std::map<std::uint32_t, int> separators;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    if (!e.measured() || !IsFirmwareRegister(x, e.index)) continue;
    if (x.log->registers == Registers::kPcr && x.after_separator[i]) CheckAfterSeparator(x, i, out);
    if (x.separator_bytes[i])
      out.Add("separator.same-bytes", Severity::kNote,
              fmt::format("{}: a setting has the bytes of an error separator",
                          RegisterName(x.log->registers, e.index)),
              {e.number});
    if (x.separator[i] && e.type != kSeparator)
      out.Add("separator.hidden", Severity::kError,
              fmt::format("{}: the digest is a separator's, but the log calls it {}",
                          RegisterName(x.log->registers, e.index), EventTypeName(e.type)),
              {e.number});
    if (e.type != kSeparator && !x.separator[i]) continue;
    if (e.type == kSeparator) CheckSeparatorValue(x, i, out);
    // A CC register stands for several PCRs, each of which has a separator.
    if (++separators[e.index] > 1 && x.log->registers == Registers::kPcr)
      out.Add("separator.repeated", Severity::kError, fmt::format("PCR {}: a second separator", e.index),
              {e.number});
  }
  if (x.log->registers != Registers::kPcr || x.log->format == Format::kCelTlv) return;
  for (std::uint32_t pcr = 0; pcr < kFirmwarePcrs; ++pcr) {
    if (separators[pcr] == 0)
      out.Add("separator.missing", Severity::kError,
              fmt::format("PCR {} has no separator, so measurements of the firmware and of the loader can't "
                          "be distinguished",
                          pcr),
              {});
  }
}

void CheckSecureBoot(const Examined& x, Problems& out) {
  constexpr std::array<std::string_view, 5> kOrder = {"SecureBoot", "PK", "KEK", "db", "dbx"};
  std::map<std::string, int> seen;
  std::size_t position = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    const auto* v = std::get_if<Variable>(&x.decoded[i].body);
    if (x.secure_boot[i] && (v == nullptr || v->name != "SecureBoot" || e.type != kEfiVariableDriverConfig))
      out.Add("secure-boot.hidden", Severity::kError,
              fmt::format("the digest is that of SecureBoot = {}, but the log calls it otherwise",
                          *x.secure_boot[i] ? 1 : 0),
              {e.number});
    if (v == nullptr) continue;
    if (e.type == kEfiVariableAuthority) {
      if (x.proofs[i].grade != Grade::kProven)
        out.Add("authority.unproven", Severity::kError,
                fmt::format("{}: {}", Printable(v->name), x.proofs[i].how), {e.number});
      continue;
    }
    if (!IsSecureBootName(v->name)) continue;
    if (!IsSecureBootVariable(*v)) {
      out.Add("secure-boot.guid", Severity::kWarning,
              fmt::format("a variable named {} under GUID {}", v->name, v->guid.ToString()), {e.number});
      continue;
    }
    if (e.type != kEfiVariableDriverConfig)
      out.Add("secure-boot.type", Severity::kError,
              fmt::format("{} in an event of type {}", v->name, EventTypeName(e.type)), {e.number});
    if (!x.In(i, 7))
      out.Add("secure-boot.register", Severity::kError,
              fmt::format("{} measured into {}", v->name, RegisterName(x.log->registers, e.index)),
              {e.number});
    if (e.type != kEfiVariableDriverConfig || !x.In(i, 7)) continue;
    if (x.after_separator[i])
      out.Add("secure-boot.after-separator", Severity::kError,
              fmt::format("{} measured after its register's separator", v->name), {e.number});
    if (++seen[v->name] > 1)
      out.Add("secure-boot.repeated", Severity::kError, fmt::format("{} measured again", v->name),
              {e.number});
    if (x.proofs[i].grade != Grade::kProven)
      out.Add("secure-boot.unproven", Severity::kError, fmt::format("{}: {}", v->name, x.proofs[i].how),
              {e.number});
    if (v->name == "SecureBoot" && !v->value.empty() && !std::holds_alternative<bool>(v->meaning))
      out.Add("secure-boot.value", Severity::kError, "SecureBoot is not one byte of 0 or 1", {e.number});
    const auto expected =
        static_cast<std::size_t>(std::find(kOrder.begin(), kOrder.end(), v->name) - kOrder.begin());
    if (expected < position)
      out.Add("secure-boot.order", Severity::kWarning,
              "SecureBoot, PK, KEK, db and dbx are not measured in this order", {e.number});
    position = std::max(position, expected);
  }
  if (seen["SecureBoot"] == 0 && x.log->format != Format::kCelTlv)
    out.Add("secure-boot.missing", Severity::kWarning, "the log has no SecureBoot variable where it must be",
            {});
}

void CheckActions(const Examined& x, Problems& out) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    if (e.type != kEfiAction && e.type != kAction) continue;
    if (x.proofs[i].grade != Grade::kProven && !e.data.empty())
      out.Add("action.unproven", Severity::kError,
              fmt::format("\"{}\": {}", Printable(x.TextOf(i)), x.proofs[i].how), {e.number});
    // The register and the text are both measured, so an action in another register can't hide or forge
    // anything. It is only not found there.
    for (const KnownAction& known : kActions) {
      if (e.type == kEfiAction && x.TextOf(i) == known.text && !x.In(i, known.pcr))
        out.Add(
            "action.register", x.In(i, known.also) ? Severity::kNote : Severity::kWarning,
            fmt::format("\"{}\" does not belong in {}", known.text, RegisterName(x.log->registers, e.index)),
            {e.number});
    }
  }
}

}  // namespace assay::boot
