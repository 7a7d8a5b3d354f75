#include "boot/examine.h"

#include <algorithm>
#include <set>

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

// UEFI_VARIABLE_DATA of the global variable SecureBoot.
Bytes SecureBootData(bool on) {
  constexpr std::string_view kName = "SecureBoot";
  Writer w;
  w.U32Le(0x8be4df61).U16Le(0x93ca).U16Le(0x11d2).U64Be(0xaa0d00e098032b8c);
  w.U64Le(kName.size()).U64Le(1);
  for (char c : kName) w.U16Le(static_cast<unsigned char>(c));
  w.U8(on ? 1 : 0);
  return w.Take();
}

struct KnownDigests {
  std::vector<Digest> separators;
  Digest secure_boot_off, secure_boot_on;
};

KnownDigests KnownIn(HashAlg bank) {
  KnownDigests known;
  for (std::uint32_t value : {0x00000000U, 0xFFFFFFFFU, 0x00000001U})
    known.separators.push_back(Hash(bank, Writer().U32Le(value).bytes()));
  known.secure_boot_off = Hash(bank, SecureBootData(false));
  known.secure_boot_on = Hash(bank, SecureBootData(true));
  return known;
}

// The registers that the firmware separates: PCR 0 to 7 and what they map to.
bool IsFirmwareRegister(const EventLog& log, std::uint32_t index) {
  return index <= (log.registers == Registers::kPcr ? 7U : 2U);
}

void LookAtDigest(const Event& e, const KnownDigests& known, std::set<std::uint32_t>& separated,
                  Examined& x) {
  const LogDigest* logged = e.Find(x.bank);
  const auto is = [&](const Digest& d) { return logged != nullptr && Equal(d.view(), logged->bytes); };
  const bool firmware = e.measured() && IsFirmwareRegister(*x.log, e.index);
  x.separator.push_back(firmware && std::any_of(known.separators.begin(), known.separators.end(), is));
  x.secure_boot.push_back(!e.measured()               ? std::nullopt
                          : is(known.secure_boot_on)  ? std::optional<bool>(true)
                          : is(known.secure_boot_off) ? std::optional<bool>(false)
                                                      : std::nullopt);
  x.after_separator.push_back(separated.contains(e.index));
  if (x.separator.back()) separated.insert(e.index);
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
  const KnownDigests known = KnownIn(bank);
  std::set<std::uint32_t> separated;
  for (const Event& e : log.events) {
    x.decoded.push_back(DecodeEvent(log, e));
    x.proofs.push_back(Prove(log, e, bank));
    LookAtDigest(e, known, separated, x);
  }
  return x;
}

std::string_view SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

bool IsSecureBootName(std::string_view name) {
  return Holds(kGlobalNames, name) || Holds(kDatabaseNames, name);
}

bool IsSecureBootVariable(const Variable& variable) {
  return (Holds(kGlobalNames, variable.name) && IsGuid(variable.guid, kGlobal)) ||
         (Holds(kDatabaseNames, variable.name) && IsGuid(variable.guid, kDatabase));
}

bool IsVariableEvent(std::uint32_t type) {
  return type == kEfiVariableDriverConfig || type == kEfiVariableBoot || type == kEfiVariableBoot2 ||
         type == kEfiVariableAuthority || type == kEfiSpdmDevicePolicy || type == kEfiSpdmDeviceAuthority;
}

SecureBootState FindSecureBoot(const Examined& x) {
  SecureBootState out;
  bool late = false, called_so = false;
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
    else
      values.push_back(*x.secure_boot[i]);
  }
  if (late)
    out.reason = "measured after the separator of its register, where anyone can";
  else if (values.size() > 1)
    out.reason = "measured more than once";
  else if (values.empty())
    out.reason = called_so ? "no event has the digest of the variable in its place"
                           : "the log has no SecureBoot variable";
  else if (called_so)
    out.reason = "another event says it is SecureBoot too";
  else
    out.state = values[0] ? SecureBoot::kOn : SecureBoot::kOff;
  return out;
}

}  // namespace assay::boot
