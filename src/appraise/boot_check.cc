// Checks the boot: compares the firmware's event log with the quoted PCRs, and then with the expected boots.
#include <fmt/core.h>

#include <algorithm>

#include "appraise/checks.h"
#include "appraise/finding_names.h"
#include "boot/replay.h"

namespace assay::appraise {
namespace {

using boot::BootDifference;
using boot::ExpectedBoot;

// Firmware, boot loader and kernel stub extend PCR 0 to 9, systemd-stub 11 to 13, shim 14. PCR 10 is the
// list's, and a running system extends 15.
constexpr std::uint32_t kBootPcrs[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14};
constexpr std::uint32_t kUkiPcr = 11;
constexpr std::size_t kShown = 4;

bool IsBootPcr(std::uint32_t pcr, const Policy& policy) {
  return pcr != policy.pcr &&
         std::find(std::begin(kBootPcrs), std::end(kBootPcrs), pcr) != std::end(kBootPcrs);
}

// Whether the value becomes the quoted one by the words that a running systemd extends after the end of the
// log, in this order. Not every system has the first two. Source: systemd-pcrphase.service(8).
bool MeetsAfterPhases(Digest value, const Digest& quoted) {
  constexpr std::string_view kPhases[] = {"enter-initrd", "leave-initrd", "sysinit",
                                          "ready",        "shutdown",     "final"};
  constexpr std::size_t kInitrdPhases = 2;
  for (const std::size_t first : {std::size_t{0}, kInitrdPhases}) {
    Digest now = value;
    for (std::size_t i = first; i < std::size(kPhases); ++i) {
      now = ExtendPcr(now, Hash(value.alg(), AsBytes(kPhases[i])));
      if (now == quoted) return true;
    }
  }
  return false;
}

// The finding's name for a changed event. Labels are only a claim of the log, and only choose the name.
FindingName NameOf(const boot::ExpectedEvent& e) {
  const auto is = [&](std::string_view label) { return e.label == label; };
  switch (e.index) {
    case 0:
    case 2:
      return FindingName::kBootFirmware;
    case 1:
    case 3:
      return FindingName::kBootSettings;
    case 4:
      return FindingName::kBootProgram;
    case 5:
      return FindingName::kBootDisk;
    case 7:
      return is("SecureBoot") ? FindingName::kBootSecureBoot : FindingName::kBootSecureBootKeys;
    case 8:
      return e.label.find("cmdline") != std::string::npos ? FindingName::kBootCmdline
                                                          : FindingName::kBootLoader;
    case 9:
      if (is("Linux initrd") || e.label.find("initrd") != std::string::npos) return FindingName::kBootInitrd;
      if (is("LOADED_IMAGE::LoadOptions")) return FindingName::kBootCmdline;
      return e.label.find("vmlinuz") != std::string::npos ? FindingName::kBootKernel
                                                          : FindingName::kBootLoader;
    case kUkiPcr:
      if (is(".linux")) return FindingName::kBootKernel;
      if (is(".initrd")) return FindingName::kBootInitrd;
      return is(".cmdline") ? FindingName::kBootCmdline : FindingName::kBootProgram;
    case 12:
    case 13:
      return FindingName::kBootAddon;
    default:
      return FindingName::kBootChanged;
  }
}

class BootCheck {
 public:
  BootCheck(Round& r, const std::vector<ExpectedBoot>& boots)
      : r_(r), boots_(boots), demanded_(!boots.empty() || r.policy.require_secure_boot) {}

  void Run() {
    r_.made.insert(Check::kBoot);
    if (!r_.made.contains(Check::kPcrValues)) return;  // no PCR value is proven; another finding says so
    if (!demanded_) {
      r_.Add(FindingName::kBootNotJudged, "what was booted is not judged: no expected boot was given");
      return;
    }
    if (r_.request.evidence.event_log.empty()) {
      r_.Add(FindingName::kBootNoLog, "the evidence has no firmware event log");
      return;
    }
    const Result<boot::EventLog> log = boot::ParseEventLog(r_.request.evidence.event_log);
    if (!log) {
      r_.Add(FindingName::kBootLogMalformed, log.error().Message());
      return;
    }
    const std::optional<HashAlg> bank = BankOf(*log);
    if (!bank) {
      r_.Add(FindingName::kBootNoBank,
             "the event log and the quote have no bank in common that the policy accepts");
      return;
    }
    if (!Replays(*log, *bank)) return;
    const boot::Examined x = boot::Examine(*log, *bank);
    if (r_.policy.require_secure_boot) CheckSecureBoot(x);
    if (!boots_.empty()) Compare(boot::Learn(x));
  }

 private:
  std::optional<HashAlg> BankOf(const boot::EventLog& log) const {
    const std::vector<HashAlg> banks = log.Banks();
    for (const HashAlg bank : r_.policy.quote_banks)
      if (r_.pcrs.contains(static_cast<std::uint16_t>(bank)) &&
          std::find(banks.begin(), banks.end(), bank) != banks.end())
        return bank;
    return std::nullopt;
  }

  // Whether each PCR of the boot was quoted and has the value that the log replays to. Otherwise the log may
  // leave out any event.
  bool Replays(const boot::EventLog& log, HashAlg bank) {
    const boot::Replayed replayed = boot::Replay(log);
    const auto& quoted = r_.pcrs.at(static_cast<std::uint16_t>(bank));
    std::string missing, wrong, exit_text;
    for (const std::uint32_t pcr : kBootPcrs) {
      if (!IsBootPcr(pcr, r_.policy)) continue;
      const auto value = quoted.find(pcr);
      if (value == quoted.end()) {
        missing += fmt::format("{}{}", missing.empty() ? "" : ", ", pcr);
        continue;
      }
      const std::optional<Digest> told = replayed.Value(bank, pcr);
      const bool same =
          told && (*told == value->second || (pcr == kUkiPcr && MeetsAfterPhases(*told, value->second)));
      if (same) continue;
      // A difference of exactly these two events has a finding of its own, and the policy may allow it.
      const std::vector<Digest> exit = boot::MissingExit(log, replayed, bank, pcr, value->second);
      if (!exit.empty())
        exit_text = fmt::format(
            "the event log lacks the firmware's two events of ExitBootServices; with their digests {} and {} "
            "it replays to the quoted PCR {}",
            exit[0].hex(), exit[1].hex(), pcr);
      if (exit.empty() || !r_.policy.allow_missing_exit)
        wrong += fmt::format("{}{}", wrong.empty() ? "" : ", ", pcr);
    }
    if (!exit_text.empty()) r_.Add(FindingName::kBootExitMissing, exit_text);
    if (!wrong.empty())
      r_.Add(FindingName::kBootLogMismatch, "the event log does not replay to the quoted PCR " + wrong);
    if (!missing.empty())
      r_.Add(FindingName::kBootNotQuoted, fmt::format("PCR {} was not quoted: ask for sha256:0-14", missing));
    return wrong.empty() && missing.empty();
  }

  void CheckSecureBoot(const boot::Examined& x) {
    const boot::SecureBootState state = boot::FindSecureBoot(x);
    if (state.state == boot::SecureBoot::kOn) return;
    r_.Add(FindingName::kBootSecureBoot, state.state == boot::SecureBoot::kOff
                                             ? "Secure Boot is off"
                                             : "whether Secure Boot is on can't be told: " + state.reason);
  }

  // Compares with the nearest of the expected boots.
  void Compare(const ExpectedBoot& now) {
    std::optional<std::vector<BootDifference>> nearest;
    std::string open;  // registers that are open in the nearest expected boot
    for (const ExpectedBoot& expected : boots_) {
      Result<std::vector<BootDifference>> differences = boot::Diff(expected, now);
      if (!differences) continue;
      std::erase_if(*differences,
                    [&](const BootDifference& d) { return !IsBootPcr(d.event.index, r_.policy); });
      const std::string left_out = NotSaid(expected, now);
      const bool nearer = !nearest || differences->size() < nearest->size() ||
                          (differences->size() == nearest->size() && left_out.size() < open.size());
      if (!nearer) continue;
      nearest = std::move(*differences);
      open = left_out;
    }
    if (!nearest) {
      r_.Add(FindingName::kBootNotComparable, "no expected boot is of the same bank and kind of registers");
      return;
    }
    if (!open.empty()) r_.Add(FindingName::kBootOpen, "the expected boot does not predict PCR " + open);
    std::map<FindingName, std::vector<const BootDifference*>> by_name;
    for (const BootDifference& d : *nearest) by_name[NameOf(d.event)].push_back(&d);
    // The check of require_secure_boot has already reported it.
    if (r_.policy.require_secure_boot &&
        std::any_of(r_.out.findings.begin(), r_.out.findings.end(),
                    [](const Finding& f) { return f.name == FindingName::kBootSecureBoot; }))
      by_name.erase(FindingName::kBootSecureBoot);
    for (const auto& [name, differences] : by_name)
      r_.Add(name, name == FindingName::kBootCmdline ? CommandLineText(differences) : Text(differences));
  }

  std::string NotSaid(const ExpectedBoot& expected, const ExpectedBoot& now) const {
    std::string text;
    for (const boot::OpenRegister& o : boot::NotCompared(expected, now))
      if (IsBootPcr(o.index, r_.policy)) text += fmt::format("{}{}", text.empty() ? "" : ", ", o.index);
    return text;
  }

  // Old and new text, where the boot loader's label has it. The label of a stub names only the kind.
  static std::string CommandLineText(const std::vector<const BootDifference*>& differences) {
    constexpr std::string_view kGrub = "kernel_cmdline: ";
    std::string was, now;
    for (const BootDifference* d : differences)
      if (d->event.label.starts_with(kGrub)) (d->added ? now : was) = d->event.label.substr(kGrub.size());
    if (was.empty() || now.empty()) return Text(differences);
    return fmt::format("the command line is '{}', expected was '{}'", now, was);
  }

  static std::string Text(const std::vector<const BootDifference*>& differences) {
    std::string text;
    for (std::size_t i = 0; i < differences.size() && i < kShown; ++i) {
      const BootDifference& d = *differences[i];
      text +=
          fmt::format("{}{} PCR {} {} {}", text.empty() ? "" : "; ", d.added ? "now" : "expected was",
                      d.event.index, d.event.label.empty() ? d.event.type : d.event.label, d.event.digest);
    }
    if (differences.size() > kShown) text += fmt::format("; and {} more", differences.size() - kShown);
    return text;
  }

  Round& r_;
  const std::vector<ExpectedBoot>& boots_;
  bool demanded_;
};

}  // namespace

void CheckBoot(Round& r, const std::vector<ExpectedBoot>& boots) { BootCheck(r, boots).Run(); }

}  // namespace assay::appraise
