#include "boot/examine.h"

#include <algorithm>
#include <set>

#include "base/name_table.h"

namespace assay::boot {
namespace {

constexpr std::string_view kGlobalNames[] = {"SecureBoot", "PK", "KEK"};
constexpr std::string_view kDatabaseNames[] = {"db", "dbx", "dbt", "dbr"};
constexpr std::string_view kGlobal = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr std::string_view kDatabase = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

template <std::size_t N>
bool Holds(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// UEFI_VARIABLE_DATA of the global variable SecureBoot. nullopt: EDK2 measures an absent variable with an
// empty value.
Bytes SecureBootData(std::optional<bool> on) {
  constexpr std::string_view kName = "SecureBoot";
  Writer w;
  w.U32Le(0x8be4df61).U16Le(0x93ca).U16Le(0x11d2).U64Be(0xaa0d00e098032b8c);
  w.U64Le(kName.size()).U64Le(on ? 1 : 0);
  for (char c : kName) w.U16Le(static_cast<unsigned char>(c));
  if (on) w.U8(*on ? 1 : 0);
  return w.Take();
}

struct KnownDigests {
  std::vector<Digest> separators;
  Digest error_separator;
  Digest secure_boot_off, secure_boot_on, secure_boot_absent;
};

KnownDigests KnownIn(HashAlg bank) {
  KnownDigests known;
  for (std::uint32_t value : {0x00000000U, 0xFFFFFFFFU})
    known.separators.push_back(Hash(bank, Writer().U32Le(value).bytes()));
  known.error_separator = Hash(bank, Writer().U32Le(1).bytes());
  known.secure_boot_off = Hash(bank, SecureBootData(false));
  known.secure_boot_on = Hash(bank, SecureBootData(true));
  known.secure_boot_absent = Hash(bank, SecureBootData(std::nullopt));
  return known;
}

// The registers that the firmware separates: PCR 0 to 7 and what they map to.
bool IsFirmwareRegister(const EventLog& log, std::uint32_t index) {
  return index <= (log.registers == Registers::kPcr ? 7U : 2U);
}

// The value of BootOrder 0001, 0000 has the four bytes of an error separator, and firmware measures only the
// values of settings. Such an event counts as the setting that the log calls it if its register also has
// another separator. An attacker who renames an error separator gains nothing then, because the other one
// still separates.
bool IsSetting(const Examined& x, std::size_t i) {
  const Event& e = x.event(i);
  const Grade grade = x.proofs[i].grade;
  const bool setting = e.type == kEfiVariableBoot || e.type == kEfiVariableBoot2 ||
                       e.type == kPlatformConfigFlags || e.type == kTableOfDevices ||
                       e.type == kNonhostConfig;
  return setting && x.In(i, 1) && (grade == Grade::kProven || grade == Grade::kPartly);
}

void LookAtDigests(const KnownDigests& known, Examined& x) {
  std::set<std::uint32_t> has_separator, separated;
  const auto is = [&](const Event& e, const Digest& d) {
    const LogDigest* logged = e.Find(x.bank);
    return logged != nullptr && Equal(d.view(), logged->bytes);
  };
  const auto is_separator = [&](const Event& e) {
    return e.measured() && IsFirmwareRegister(*x.log, e.index) &&
           std::any_of(known.separators.begin(), known.separators.end(),
                       [&](const Digest& d) { return is(e, d); });
  };
  for (const Event& e : x.log->events) {
    if (is_separator(e)) has_separator.insert(e.index);
  }
  for (std::size_t i = 0; i < x.log->events.size(); ++i) {
    const Event& e = x.event(i);
    const bool firmware = e.measured() && IsFirmwareRegister(*x.log, e.index);
    const bool error = firmware && is(e, known.error_separator);
    const bool setting = error && IsSetting(x, i) && has_separator.contains(e.index);
    x.separator.push_back((error && !setting) || is_separator(e));
    x.separator_bytes.push_back(setting);
    const bool off = is(e, known.secure_boot_off) || is(e, known.secure_boot_absent);
    x.secure_boot.push_back(!e.measured()                 ? std::nullopt
                            : is(e, known.secure_boot_on) ? std::optional<bool>(true)
                            : off                         ? std::optional<bool>(false)
                                                          : std::nullopt);
    x.after_separator.push_back(separated.contains(e.index));
    if (x.separator.back()) separated.insert(e.index);
  }
}

}  // namespace

bool Examined::In(std::size_t i, std::uint32_t pcr) const {
  const std::uint32_t index = event(i).index;
  return log->registers == Registers::kPcr ? index == pcr : CcRegisterOfPcr(pcr) == index;
}

std::string Examined::TextOf(std::size_t i) const {
  if (const auto* text = std::get_if<Text>(&decoded[i].body)) return text->text;
  if (const auto* tag = std::get_if<TaggedEvent>(&decoded[i].body)) return tag->description;
  if (const auto* blob = std::get_if<FirmwareBlob>(&decoded[i].body)) return blob->description;
  return {};
}

Examined Examine(const EventLog& log, HashAlg bank) {
  Examined x;
  x.log = &log;
  x.bank = bank;
  x.decoded.reserve(log.events.size());
  x.proofs.reserve(log.events.size());
  for (const Event& e : log.events) {
    x.decoded.push_back(DecodeEvent(log, e));
    x.proofs.push_back(Prove(log, e, bank, x.decoded.back()));
  }
  LookAtDigests(KnownIn(bank), x);
  return x;
}

std::string_view SeverityName(Severity severity) {
  static constexpr auto kNames = Names<Severity>(
      {{Severity::kNote, "note"}, {Severity::kWarning, "warning"}, {Severity::kError, "error"}});
  return kNames.Of(severity);
}

bool IsSecureBootName(std::string_view name) {
  return Holds(kGlobalNames, name) || Holds(kDatabaseNames, name);
}

bool IsSecureBootVariable(const Variable& variable) {
  return (Holds(kGlobalNames, variable.name) && IsGuid(variable.guid, kGlobal)) ||
         (Holds(kDatabaseNames, variable.name) && IsGuid(variable.guid, kDatabase));
}

SecureBootState FindSecureBoot(const Examined& x) {
  SecureBootState out;
  bool late = false, called_so = false, absent = false;
  const Digest no_value = Hash(x.bank, SecureBootData(std::nullopt));
  std::vector<bool> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* v = std::get_if<Variable>(&x.decoded[i].body);
    const bool named = v != nullptr && v->name == "SecureBoot";
    if (!named && !x.secure_boot[i]) continue;
    out.events.push_back(x.event(i).number);
    if (!x.secure_boot[i] || !x.In(i, 7))
      called_so = true;
    else if (x.after_separator[i])
      late = true;
    else {
      values.push_back(*x.secure_boot[i]);
      absent = Equal(x.event(i).Find(x.bank)->bytes, no_value.view());
    }
  }
  if (late)
    out.reason = "measured after the separator of its register, where any program can do that";
  else if (values.size() > 1)
    out.reason = "measured more than once";
  else if (values.empty())
    out.reason = called_so ? "no event has the digest of the variable in its place"
                           : "the log has no SecureBoot variable";
  else if (called_so)
    out.reason = "another event says it is SecureBoot too";
  else
    out.state = values[0] ? SecureBoot::kOn : SecureBoot::kOff;
  out.absent = out.state == SecureBoot::kOff && absent;
  return out;
}

}  // namespace assay::boot
