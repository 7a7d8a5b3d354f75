// Findings: what an appraisal can say, each with its name, its usual weight and what to do about it, in one
// table.
//
//   // given: FindingName name
//   if (name == FindingName::kOwnStopped) log::Info("{}: {}", NameText(name), RemedyOf(name));
//
// Contract: a row for each enumerator, in their order (checked when this compiles). Names never change: JSON,
// results and host states have them. An error of the tpm and evidence rooms about a key, a quote or a
// certificate is a finding with the same name and remedy. A test compares the table with docs/findings.md.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "evidence/errors.h"
#include "tpm/errors.h"

namespace assay::appraise {

enum class Verdict {
  kTrusted = 0,
  kNotTrusted = 1,
  kUnknown = 2
};  // 'could not tell' is 2, as the exit code
std::string_view VerdictName(Verdict v);  // "trusted", "not-trusted", "could-not-tell"
// The worse of two verdicts has the greater severity.
constexpr int Severity(Verdict v) { return v == Verdict::kNotTrusted ? 2 : v == Verdict::kUnknown ? 1 : 0; }
constexpr Verdict Worse(Verdict a, Verdict b) { return Severity(a) >= Severity(b) ? a : b; }

enum class FindingName {
  // The key and the quote
  kAkFirstUse,
  kAkUnknown,
  kAkChanged,
  kAkNotRestricted,
  kAkNotSigning,
  kAkNotFixedTpm,
  kAkNotFixedParent,
  kAkImported,
  kAkDecrypts,
  kAkWeak,
  kAkTemplate,
  kAkMalformed,
  kEkChanged,
  kEkMissing,
  kEkMalformed,
  kEkNotListed,
  kQuoteSignature,
  kQuoteMalformed,
  kQuoteQualifying,
  kQuoteNonce,
  kQuoteRelayed,
  kQuoteSelection,
  kQuoteSelectionRepeated,
  kQuoteWeakBank,
  kQuoteOtherPcr,
  kQuoteResettablePcr,
  kQuotePcrValues,
  kQuotePcrDigest,
  kClaimsMalformed,
  kContextMalformed,
  kEvidenceNoList,
  kTpmSoftware,
  // Enrolment
  kEkCertified,
  kEkListed,
  kEkNotVouched,
  kEkNotProven,
  kEkTemplate,
  kEkCertificateOtherKey,
  kEkCertificateExpired,
  kEkCertificateRevoked,
  kEkNoCrl,
  kEkCertificateUsage,
  kEkCertificateMalformed,
  kEkCertificateUnreadable,
  kEkUntrustedChain,
  kDeviceIdentified,
  kDeviceNotProven,
  kDeviceProofWrong,
  kDeviceNotVouched,
  kDeviceCertificateRefused,
  kDeviceCertificateUnreadable,
  kDeviceChanged,
  // The clock
  kClockRebooted,
  kClockRestarted,
  kClockResetCount,
  kClockBack,
  kClockResetRunning,
  kClockUnsafe,
  // The boot
  kBootNotJudged,
  kBootSecureBoot,
  kBootSecureBootKeys,
  kBootFirmware,
  kBootSettings,
  kBootDisk,
  kBootProgram,
  kBootLoader,
  kBootCmdline,
  kBootKernel,
  kBootInitrd,
  kBootAddon,
  kBootChanged,
  kBootLogMismatch,
  kBootExitMissing,
  kBootLogMalformed,
  kBootNoLog,
  kBootNoBank,
  kBootNotQuoted,
  kBootOpen,
  kBootNotComparable,
  // The list
  kListRemoved,
  kListAdded,
  kListAltered,
  kListReordered,
  kListTruncated,
  kListMismatch,
  kListForeignExtend,
  kListHistory,
  kListBeyondQuote,
  kListCount,
  kListStart,
  kListNoPrefix,
  kListFull,
  kListMalformed,
  kListColumn,
  kListAllOnesColumn,
  kListForgedViolation,
  kListForeignPcr,
  kListGroup,
  kListBootAggregate,
  kListBootAggregateUnproven,
  kListSecondBootAggregate,
  kListGap,
  kListMoreFindings,
  kListMoreAlike,
  kListJudgedOtherwise,
  // Entries
  kEntryChanged,
  kEntryMisplaced,
  kEntryKexec,
  kEntrySwapped,
  kEntryShownUnknown,
  kEntryUnknown,
  kEntryOutdated,
  kEntryVulnerable,
  kEntryRevoked,
  kEntryViolation,
  kEntryWeakDigest,
  kEntryNotComparable,
  kEntryMalformed,
  kPolicyNotJudged,
  kPolicyViolationsAllowed,
  kPolicyOwnerTrusted,
  kPolicyTrustExpired,
  kPolicyPackageViolations,
  kPolicyPackageBpf,
  // What the attester says of itself
  kOwnNoStart,
  kOwnLateStart,
  kOwnCapped,
  kOwnStopped,
  kOwnAfterStop,
  kOwnHandover,
  kRunMissing,
  kRunSignature,
  kRunTemplate,
  kRunNone,
  kOwnLateEngine,
  kOwnEarlyUnproven,
  kOwnReach,
  kOwnMissingBinary,
  kOwnUnknownBinary,
  kOwnNoEngine,
  kOwnEngine,
  kOwnKernelSilent,
  kOwnKernelPolicy,
  kOwnEngineState,
  kOwnScope,
  kOwnNoPolicy,
  kOwnPolicy,
  kOwnPolicyChanged,
  kOwnMeasuresLess,
  kOwnMounts,
  kOwnOptions,
  kOwnManifest,
  kOwnRanBefore,
  kOwnInterpreter,
  kOwnMalformed,
  kOwnLimit,
  kOwnUnknownRecord,
  kInternalUnchecked
};

// By the name's first part.
enum class FindingGroup { kOther, kBoot, kList, kEntry, kOwn };

struct FindingRow {
  constexpr FindingRow(FindingName finding_in, std::string_view name_in, Verdict weight_in,
                       std::string_view remedy_in)
      : finding(finding_in), name(name_in), weight(weight_in), remedy(remedy_in), group(GroupOf(name_in)) {}
  // What another room says as an error.
  constexpr FindingRow(FindingName finding_in, ErrorCode error_in, Verdict weight_in)
      : FindingRow(finding_in, error_in.name(), weight_in, error_in.remedy()) {
    error = error_in;
  }
  static constexpr FindingGroup GroupOf(std::string_view name) {
    return name.starts_with("boot.")    ? FindingGroup::kBoot
           : name.starts_with("list.")  ? FindingGroup::kList
           : name.starts_with("entry.") ? FindingGroup::kEntry
           : name.starts_with("own.")   ? FindingGroup::kOwn
                                        : FindingGroup::kOther;
  }

  FindingName finding;
  std::string_view name;
  Verdict weight;  // where the check that adds it says no other
  std::string_view remedy;
  FindingGroup group;
  std::optional<ErrorCode> error;
};

inline constexpr FindingRow kFindings[] = {
    // The key and the quote
    {FindingName::kAkFirstUse, "ak.first-use", Verdict::kTrusted,
     "Enrol the host (`assay enrol`); or compare the AK's name with the machine's own, once."},
    {FindingName::kAkUnknown, "ak.unknown", Verdict::kNotTrusted,
     "Enrol the host (`assay enrol`), or name its AK in `pinned_ak`; for tests `allow_first_use`."},
    {FindingName::kAkChanged, "ak.changed", Verdict::kNotTrusted,
     "Find out which of these it is; after a cleared TPM begin a new state file."},
    {FindingName::kAkNotRestricted, tpm::AkError::kNotRestricted, Verdict::kNotTrusted},
    {FindingName::kAkNotSigning, tpm::AkError::kNotSigning, Verdict::kNotTrusted},
    {FindingName::kAkNotFixedTpm, tpm::AkError::kNotFixedTpm, Verdict::kNotTrusted},
    {FindingName::kAkNotFixedParent, tpm::AkError::kNotFixedParent, Verdict::kNotTrusted},
    {FindingName::kAkImported, tpm::AkError::kImported, Verdict::kNotTrusted},
    {FindingName::kAkDecrypts, tpm::AkError::kDecrypts, Verdict::kNotTrusted},
    {FindingName::kAkWeak, tpm::AkError::kWeak, Verdict::kNotTrusted},
    {FindingName::kAkTemplate, tpm::AkError::kTemplate, Verdict::kNotTrusted},
    {FindingName::kAkMalformed, "ak.malformed", Verdict::kNotTrusted,
     "Suspect the connection or the attester."},
    {FindingName::kEkChanged, "ek.changed", Verdict::kNotTrusted,
     "Find out which TPM it is; after an exchanged TPM begin a new state file."},
    {FindingName::kEkMissing, "ek.missing", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kEkMalformed, "ek.malformed", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kEkNotListed, "ek.not-listed", Verdict::kNotTrusted,
     "Add the EK to `allowed_eks`, or retire the host."},
    {FindingName::kQuoteSignature, tpm::QuoteError::kSignature, Verdict::kNotTrusted},
    {FindingName::kQuoteMalformed, "quote.malformed", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kQuoteQualifying, "quote.qualifying", Verdict::kNotTrusted,
     "Suspect the connection or the attester."},
    {FindingName::kQuoteNonce, "quote.nonce", Verdict::kNotTrusted, "Suspect the one that answered."},
    {FindingName::kQuoteRelayed, "quote.relayed", Verdict::kNotTrusted,
     "Look at what answers at this address."},
    {FindingName::kQuoteSelection, "quote.selection", Verdict::kNotTrusted,
     "Suspect the attester, or ask for banks that its TPM has."},
    {FindingName::kQuoteSelectionRepeated, "quote.selection-repeated", Verdict::kNotTrusted,
     "Suspect the attester."},
    {FindingName::kQuoteWeakBank, "quote.weak-bank", Verdict::kNotTrusted, "Ask for `sha256:0-14`."},
    {FindingName::kQuoteOtherPcr, "quote.other-pcr", Verdict::kNotTrusted,
     "Make policy and attester agree on the PCR."},
    {FindingName::kQuoteResettablePcr, "quote.resettable-pcr", Verdict::kNotTrusted,
     "Ask for PCR 0 to 15 only."},
    {FindingName::kQuotePcrValues, "quote.pcr-values", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kQuotePcrDigest, "quote.pcr-digest", Verdict::kNotTrusted,
     "Suspect the connection or the attester."},
    {FindingName::kClaimsMalformed, "claims.malformed", Verdict::kNotTrusted,
     "Compare the versions of attester and verifier."},
    {FindingName::kContextMalformed, "context.malformed", Verdict::kNotTrusted,
     "Compare the versions of attester and verifier."},
    {FindingName::kEvidenceNoList, "evidence.no-list", Verdict::kUnknown,
     "Ask the machine's owner for the level `list` or `full`."},
    {FindingName::kTpmSoftware, "tpm.software", Verdict::kNotTrusted,
     "Use a machine with a TPM; for tests `allow_software_tpm`."},
    // Enrolment
    {FindingName::kEkCertified, "ek.certified", Verdict::kTrusted, "Nothing."},
    {FindingName::kEkListed, "ek.listed", Verdict::kTrusted, "Nothing."},
    {FindingName::kEkNotVouched, "ek.not-vouched", Verdict::kNotTrusted,
     "Give the manufacturer's roots (`--roots`); or add the name that is printed to `allowed_eks`, once it "
     "was read at the machine."},
    {FindingName::kEkNotProven, evidence::EnrolError::kNotProven, Verdict::kNotTrusted},
    {FindingName::kEkTemplate, tpm::EkError::kTemplate, Verdict::kNotTrusted},
    {FindingName::kEkCertificateOtherKey, tpm::EkError::kCertificateOtherKey, Verdict::kNotTrusted},
    {FindingName::kEkCertificateExpired, tpm::EkError::kCertificateExpired, Verdict::kNotTrusted},
    {FindingName::kEkCertificateRevoked, tpm::EkError::kCertificateRevoked, Verdict::kNotTrusted},
    {FindingName::kEkNoCrl, tpm::EkError::kNoCrl, Verdict::kNotTrusted},
    {FindingName::kEkCertificateUsage, tpm::EkError::kCertificateUsage, Verdict::kNotTrusted},
    {FindingName::kEkCertificateMalformed, tpm::EkError::kCertificateMalformed, Verdict::kNotTrusted},
    {FindingName::kEkCertificateUnreadable, "ek.certificate-unreadable", Verdict::kTrusted,
     "Report what the text says; list the endorsement key in `allowed_eks` once its name was read at the "
     "machine."},
    {FindingName::kEkUntrustedChain, tpm::EkError::kUntrustedChain, Verdict::kNotTrusted},
    {FindingName::kDeviceIdentified, "device.identified", Verdict::kTrusted, "Nothing."},
    {FindingName::kDeviceNotProven, "device.not-proven", Verdict::kTrusted,
     "Nothing, if it does not matter which machine it is; an IAK without a password would prove it."},
    {FindingName::kDeviceProofWrong, tpm::DeviceError::kProofWrong, Verdict::kNotTrusted},
    {FindingName::kDeviceNotVouched, tpm::DeviceError::kNotVouched, Verdict::kTrusted},
    {FindingName::kDeviceCertificateRefused, tpm::DeviceError::kCertificateRefused, Verdict::kNotTrusted},
    {FindingName::kDeviceCertificateUnreadable, "device.certificate-unreadable", Verdict::kTrusted,
     "Report what the text says."},
    {FindingName::kDeviceChanged, "device.changed", Verdict::kNotTrusted,
     "Find out which machine it is; if its maker renamed it, `assay enrol --again`."},
    // The clock
    {FindingName::kClockRebooted, "clock.rebooted", Verdict::kTrusted,
     "Nothing: `assay attest` asks for the whole list."},
    {FindingName::kClockRestarted, "clock.restarted", Verdict::kTrusted,
     "Nothing: `assay attest` asks for the whole list."},
    {FindingName::kClockResetCount, "clock.reset-count", Verdict::kNotTrusted, "Suspect the machine."},
    {FindingName::kClockBack, "clock.back", Verdict::kNotTrusted,
     "Suspect the machine; if its TPM was cleared, `assay enrol --again`."},
    {FindingName::kClockResetRunning, "clock.reset-running", Verdict::kNotTrusted,
     "Reboot the machine; if nobody resets its TPM on purpose, suspect it."},
    {FindingName::kClockUnsafe, "clock.unsafe", Verdict::kTrusted, "Nothing."},
    // The boot
    {FindingName::kBootNotJudged, "boot.not-judged", Verdict::kTrusted,
     "Learn the boot (`assay boot learn`), then give it with `--boot`."},
    {FindingName::kBootSecureBoot, "boot.secure-boot", Verdict::kNotTrusted, "Look at the firmware's setup."},
    {FindingName::kBootSecureBootKeys, "boot.secure-boot-keys", Verdict::kNotTrusted,
     "If the firmware's `dbx` was updated, learn the boot anew; else suspect the machine."},
    {FindingName::kBootFirmware, "boot.firmware", Verdict::kNotTrusted,
     "If the firmware was updated, learn the boot anew; else suspect the machine."},
    {FindingName::kBootSettings, "boot.settings", Verdict::kNotTrusted, "Look at the firmware's setup."},
    {FindingName::kBootDisk, "boot.disk", Verdict::kNotTrusted,
     "If the disk was partitioned anew, learn the boot anew; else find out what changed."},
    {FindingName::kBootProgram, "boot.program", Verdict::kNotTrusted,
     "Beside another finding of the boot: follow that one. Alone: find out what changed the loader."},
    {FindingName::kBootLoader, "boot.loader", Verdict::kNotTrusted,
     "Compare the boots with `assay boot diff`."},
    {FindingName::kBootCmdline, "boot.cmdline", Verdict::kNotTrusted,
     "Find out what changed the command line."},
    {FindingName::kBootKernel, "boot.kernel", Verdict::kNotTrusted,
     "If the kernel was updated, learn the boot anew; else suspect the machine."},
    {FindingName::kBootInitrd, "boot.initrd", Verdict::kNotTrusted,
     "If the initramfs was built anew, learn the boot anew; else suspect the machine."},
    {FindingName::kBootAddon, "boot.addon", Verdict::kNotTrusted, "Look at the EFI system partition."},
    {FindingName::kBootChanged, "boot.changed", Verdict::kNotTrusted,
     "Compare the boots with `assay boot diff`."},
    {FindingName::kBootLogMismatch, "boot.log-mismatch", Verdict::kNotTrusted,
     "Suspect the attester: the log was altered, or something extended a PCR of the boot."},
    {FindingName::kBootExitMissing, "boot.exit-missing", Verdict::kTrusted,
     "Set `allow_missing_exit` if that firmware is accepted."},
    {FindingName::kBootLogMalformed, "boot.log-malformed", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kBootNoLog, "boot.no-log", Verdict::kUnknown,
     "Nothing, if its firmware writes no event log: the boot of such a machine can't be judged."},
    {FindingName::kBootNoBank, "boot.no-bank", Verdict::kUnknown, "Ask for another bank."},
    {FindingName::kBootNotQuoted, "boot.not-quoted", Verdict::kUnknown, "Ask for `sha256:0-14`."},
    {FindingName::kBootOpen, "boot.open", Verdict::kUnknown,
     "Learn the boot (`assay boot learn`) once it is known to be good."},
    {FindingName::kBootNotComparable, "boot.not-comparable", Verdict::kUnknown,
     "Learn the expected boots from this bank."},
    // The list
    {FindingName::kListRemoved, "list.removed", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with."},
    {FindingName::kListAdded, "list.added", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with."},
    {FindingName::kListAltered, "list.altered", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with."},
    {FindingName::kListReordered, "list.reordered", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with."},
    {FindingName::kListTruncated, "list.truncated", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with."},
    {FindingName::kListMismatch, "list.mismatch", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with, or something else extended the PCR."},
    {FindingName::kListForeignExtend, "list.foreign-extend", Verdict::kNotTrusted,
     "Find out what else used the TPM; reboot."},
    {FindingName::kListHistory, "list.history", Verdict::kNotTrusted,
     "Suspect the machine: the PCR was reset behind the clock's back."},
    {FindingName::kListBeyondQuote, "list.beyond-quote", Verdict::kNotTrusted,
     "A foreign attester may add records while it quotes: `allow_unquoted_tail` accepts that."},
    {FindingName::kListCount, "list.count", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kListStart, "list.start", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kListNoPrefix, "list.no-prefix", Verdict::kUnknown, "Ask for the whole list (`--full`)."},
    {FindingName::kListFull, "list.full", Verdict::kUnknown,
     "Find out what floods the list; raise `max_records`; reboot."},
    {FindingName::kListMalformed, "list.malformed", Verdict::kNotTrusted,
     "Suspect root on the machine: the list was tampered with, or cut."},
    {FindingName::kListColumn, "list.column", Verdict::kNotTrusted,
     "Suspect root on the machine: something wrote into the list."},
    {FindingName::kListAllOnesColumn, "list.all-ones-column", Verdict::kNotTrusted,
     "Suspect root on the machine: something wrote into the list."},
    {FindingName::kListForgedViolation, "list.forged-violation", Verdict::kNotTrusted,
     "Suspect root on the machine."},
    {FindingName::kListForeignPcr, "list.foreign-pcr", Verdict::kNotTrusted,
     "Have the attester use one PCR."},
    {FindingName::kListGroup, "list.group", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kListBootAggregate, "list.boot-aggregate", Verdict::kNotTrusted,
     "Suspect the attester: the list is of another boot, or of another machine."},
    {FindingName::kListBootAggregateUnproven, "list.boot-aggregate-unproven", Verdict::kUnknown,
     "Ask for `sha256:0-14`, or for the bank that it names."},
    {FindingName::kListSecondBootAggregate, "list.second-boot-aggregate", Verdict::kNotTrusted,
     "Reboot instead of kexec."},
    {FindingName::kListGap, "list.gap", Verdict::kNotTrusted, "Reboot; `allow_gaps` if gaps are accepted."},
    {FindingName::kListMoreFindings, "list.more-findings", Verdict::kNotTrusted,
     "Ask for the whole list (`--full`): it shows them all."},
    {FindingName::kListMoreAlike, "list.more-alike", Verdict::kNotTrusted,
     "Look at those that are told; `--entries` prints each entry with its state."},
    {FindingName::kListJudgedOtherwise, "list.judged-otherwise", Verdict::kUnknown,
     "Ask for the whole list (`--full`); `assay attest` does so by itself."},
    // Entries
    {FindingName::kEntryChanged, "entry.changed", Verdict::kNotTrusted,
     "Reinstall the package; if it was upgraded, build the reference values anew (older versions stay "
     "known)."},
    {FindingName::kEntryMisplaced, "entry.misplaced", Verdict::kNotTrusted,
     "Find out what put it there; trust it (`assay trust`) if it belongs there."},
    {FindingName::kEntryKexec, "entry.kexec", Verdict::kNotTrusted, "Find out what loaded it; reboot."},
    {FindingName::kEntrySwapped, "entry.swapped", Verdict::kNotTrusted, "Find out what put it there."},
    {FindingName::kEntryShownUnknown, "entry.shown-unknown", Verdict::kTrusted, "Nothing; or ask that user."},
    {FindingName::kEntryUnknown, "entry.unknown", Verdict::kNotTrusted,
     "Find out what it is; then add reference values, trust it (`assay trust`), or remove it."},
    {FindingName::kEntryOutdated, "entry.outdated", Verdict::kTrusted,
     "Restart what still runs the old version, or upgrade the package; `outdated_fails_after_days` sets a "
     "limit."},
    {FindingName::kEntryVulnerable, "entry.vulnerable", Verdict::kNotTrusted, "Upgrade the package."},
    {FindingName::kEntryRevoked, "entry.revoked", Verdict::kNotTrusted, "Remove it."},
    {FindingName::kEntryViolation, "entry.violation", Verdict::kNotTrusted,
     "Find out what writes to the file; reboot. Where the sentence names the program's digest, "
     "`allowed_violations` can allow it."},
    {FindingName::kEntryWeakDigest, "entry.weak-digest", Verdict::kNotTrusted,
     "Have the attester use SHA-256."},
    {FindingName::kEntryNotComparable, "entry.not-comparable", Verdict::kUnknown,
     "Have the attester measure with SHA-256 (`ima_hash=sha256`), without fs-verity's digests; or trust it "
     "(`assay trust`)."},
    {FindingName::kEntryMalformed, "entry.malformed", Verdict::kNotTrusted,
     "Suspect the attester; or the kernel has a template of its own (`ima_template_fmt=`)."},
    {FindingName::kPolicyNotJudged, "policy.not-judged", Verdict::kTrusted, "Keep `allowed_cgroups` short."},
    {FindingName::kPolicyViolationsAllowed, "policy.violations-allowed", Verdict::kTrusted,
     "Keep `allowed_violations` short."},
    {FindingName::kPolicyOwnerTrusted, "policy.owner-trusted", Verdict::kTrusted,
     "Nothing; `assay trust --trusted FILE` shows the list."},
    {FindingName::kPolicyTrustExpired, "policy.trust-expired", Verdict::kTrusted,
     "Trust it again (`assay trust`), or take it off the list (`assay untrust --expired`)."},
    {FindingName::kPolicyPackageViolations, "policy.package-violations", Verdict::kTrusted,
     "`package_violations: false` where no program shall make code or look into others."},
    {FindingName::kPolicyPackageBpf, "policy.package-bpf", Verdict::kTrusted,
     "`package_violations: false` where no program shall make BPF programs of its own."},
    // What the attester says of itself
    {FindingName::kOwnNoStart, "own.no-start", Verdict::kNotTrusted,
     "Use assay's attester; for a foreign one `require_attester_records: false`."},
    {FindingName::kOwnLateStart, "own.late-start", Verdict::kNotTrusted,
     "Suspect the records before the attester's."},
    {FindingName::kOwnCapped, "own.capped", Verdict::kNotTrusted,
     "Look at the machine's console and log; reboot."},
    {FindingName::kOwnStopped, "own.stopped", Verdict::kNotTrusted,
     "Start the attester; reboot for a list without a gap."},
    {FindingName::kOwnAfterStop, "own.after-stop", Verdict::kNotTrusted,
     "Reboot; `allow_gaps` if gaps are accepted."},
    {FindingName::kOwnHandover, "own.handover", Verdict::kTrusted, "Nothing, if assay was upgraded."},
    {FindingName::kRunMissing, "run.missing", Verdict::kNotTrusted,
     "Look at the machine; a new start of the attester is a gap (`list.gap`)."},
    {FindingName::kRunSignature, "run.signature", Verdict::kNotTrusted,
     "Look at the machine; a new start of the attester is a gap (`list.gap`)."},
    {FindingName::kRunTemplate, tpm::RunKeyError::kTemplate, Verdict::kNotTrusted},
    {FindingName::kRunNone, "run.none", Verdict::kTrusted,
     "Nothing: docs/limitations.md, \"The kernel-ima engine\"."},
    {FindingName::kOwnLateEngine, "own.late-engine", Verdict::kNotTrusted,
     "Put the attester's hook into the initramfs; reboot."},
    {FindingName::kOwnEarlyUnproven, "own.early-unproven", Verdict::kUnknown,
     "Give the expected boots (`--boot`)."},
    {FindingName::kOwnReach, "own.reach", Verdict::kNotTrusted,
     "Start the attester in the initramfs, give the expected boots, set scope `host`."},
    {FindingName::kOwnMissingBinary, "own.missing-binary", Verdict::kNotTrusted,
     "Ask for the whole list (`--full`); if it stays, suspect the attester."},
    {FindingName::kOwnUnknownBinary, "own.unknown-binary", Verdict::kNotTrusted,
     "Add reference values of that build, or its digest to `attester_digests`."},
    {FindingName::kOwnNoEngine, "own.no-engine", Verdict::kNotTrusted, "Look at the attester's log."},
    {FindingName::kOwnEngine, "own.engine", Verdict::kNotTrusted, "Look at the attester's configuration."},
    {FindingName::kOwnKernelSilent, "own.kernel-silent", Verdict::kNotTrusted, "Boot with an `ima_policy=`."},
    {FindingName::kOwnKernelPolicy, "own.kernel-policy", Verdict::kUnknown,
     "Set `allow_kernel_policy` if the kernel's command line is known to be good by other means."},
    {FindingName::kOwnEngineState, "own.engine-state", Verdict::kUnknown,
     "Look at `assay status` on the machine."},
    {FindingName::kOwnScope, "own.scope", Verdict::kTrusted,
     "Set scope `host`, which measures all of it; `require_reach` demands that."},
    {FindingName::kOwnNoPolicy, "own.no-policy", Verdict::kNotTrusted, "Suspect the attester."},
    {FindingName::kOwnPolicy, "own.policy", Verdict::kNotTrusted, "Look at the attester's configuration."},
    {FindingName::kOwnPolicyChanged, "own.policy-changed", Verdict::kNotTrusted,
     "Find out what loaded it; add the digests of both to `attester_policies` if that is accepted."},
    {FindingName::kOwnMeasuresLess, "own.measures-less", Verdict::kNotTrusted,
     "Put the built-in rules first, exceptions after them; or accept this policy by its digest "
     "(`attester_policies`)."},
    {FindingName::kOwnMounts, "own.mounts", Verdict::kNotTrusted, "Set `engine/mounts` to `/`."},
    {FindingName::kOwnOptions, "own.options", Verdict::kNotTrusted,
     "Look at the attester's configuration; accept it by `max_group_ms` or `attester_policies`."},
    {FindingName::kOwnManifest, "own.manifest", Verdict::kNotTrusted,
     "Accept the manifest by `attester_manifests`, or its signer by `manifest_keys`."},
    {FindingName::kOwnRanBefore, "own.ran-before", Verdict::kTrusted, "Start the attester earlier."},
    {FindingName::kOwnInterpreter, "own.interpreter", Verdict::kNotTrusted, "Reinstall the interpreter."},
    {FindingName::kOwnMalformed, "own.malformed", Verdict::kNotTrusted,
     "Compare the versions of attester and verifier; suspect the attester."},
    {FindingName::kOwnLimit, "own.limit", Verdict::kTrusted, "Find out who fills the list."},
    {FindingName::kOwnUnknownRecord, "own.unknown-record", Verdict::kUnknown,
     "Use a newer version of assay."},
    {FindingName::kInternalUnchecked, "internal.unchecked", Verdict::kUnknown, "Report it."},
};
static_assert(std::size(kFindings) == static_cast<std::size_t>(FindingName::kInternalUnchecked) + 1);
static_assert([] {
  for (std::size_t i = 0; i < std::size(kFindings); ++i)
    if (static_cast<std::size_t>(kFindings[i].finding) != i) return false;
  return true;
}());

constexpr const FindingRow& RowOf(FindingName f) { return kFindings[static_cast<std::size_t>(f)]; }
constexpr std::string_view NameText(FindingName f) { return RowOf(f).name; }  // "own.stopped"
constexpr Verdict WeightOf(FindingName f) { return RowOf(f).weight; }
constexpr std::string_view RemedyOf(FindingName f) { return RowOf(f).remedy; }
// The remedy as a step to take; empty if there is nothing to do.
constexpr std::string_view NextStepOf(FindingName f) {
  return RemedyOf(f).starts_with("Nothing") ? std::string_view() : RemedyOf(f);
}
constexpr FindingGroup GroupOf(FindingName f) { return RowOf(f).group; }
std::optional<FindingName> FindingFromName(std::string_view name);
// The finding that an error of another room stands for. No value: it stands for none.
std::optional<FindingName> FindingOf(const Error& error);

}  // namespace assay::appraise
