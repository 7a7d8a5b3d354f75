// Checks the quote: which key signed it, for which challenge, at which time, and over which PCRs.
#include <fmt/core.h>

#include <algorithm>

#include "appraise/checks.h"
#include "appraise/enrolment.h"
#include "appraise/finding_names.h"

namespace assay::appraise {
namespace {

// PC Client Profile: 16 and 23 can be reset by any software, 17 to 22 by a dynamic launch.
constexpr std::uint32_t kFirstResettable = 16;

bool CheckAk(Round& r, tpm::KeyPublic& ak) {
  Result<tpm::KeyPublic> parsed = tpm::ParsePublic(r.request.evidence.ak_public);
  if (!parsed) {
    r.Add(FindingName::kAkMalformed, parsed.error().Message());
    return false;
  }
  ak = std::move(*parsed);
  bool good = true;
  if (const Result<> attributes = tpm::CheckAkAttributes(ak); !attributes) {
    r.Add(FindingOf(attributes.error()).value_or(FindingName::kAkMalformed), attributes.error().Message());
    good = false;
  }
  const std::string name = Hex(ak.name);
  const std::string& expected = r.policy.pinned_ak.empty() ? r.host.ak_name : r.policy.pinned_ak;
  if (!expected.empty() && name != expected) {
    r.Add(FindingName::kAkChanged,
          fmt::format("the quote is by key {}, this host's key is {}", name, expected));
    good = false;
  } else if (expected.empty() && !r.policy.allow_first_use) {
    r.Add(FindingName::kAkUnknown,
          fmt::format("key {} is not enrolled and the policy trusts none at first use", name));
    good = false;
  } else if (r.policy.pinned_ak.empty() && !expected.empty() && !r.policy.allow_first_use &&
             r.host.identity != kByCertificate && r.host.identity != kByList) {
    r.Add(FindingName::kAkFirstUse, Verdict::kNotTrusted,
          fmt::format("key {} was pinned when it was first seen, and the policy demands enrolment", name));
    good = false;
  }
  if (good) {
    if (expected.empty()) r.Add(FindingName::kAkFirstUse, fmt::format("key {} is pinned from now on", name));
    if (r.out.host.identity.empty()) r.out.host.identity = r.policy.pinned_ak.empty() ? kByFirstUse : kByName;
    r.made.insert(Check::kAk);
    r.out.host.ak_name = name;
  }
  return good;
}

void CheckEk(Round& r) {
  if (r.request.evidence.ek_public.empty()) {
    if (!r.host.ek_name.empty())
      r.Add(FindingName::kEkMissing,
            fmt::format("the evidence has no endorsement key; it was {}", r.host.ek_name));
    return;
  }
  const Result<tpm::KeyPublic> ek = tpm::ParsePublic(r.request.evidence.ek_public);
  if (!ek) {
    r.Add(FindingName::kEkMalformed, ek.error().Message());
    return;
  }
  const std::string name = Hex(ek->name);
  if (!r.host.ek_name.empty() && name != r.host.ek_name) {
    r.Add(FindingName::kEkChanged,
          fmt::format("the TPM's endorsement key is {}, it was {}", name, r.host.ek_name));
    return;
  }
  if (r.host.identity == kByList && !r.policy.allowed_eks.contains(name))
    r.Add(FindingName::kEkNotListed,
          fmt::format("the policy does not list endorsement key {} any more", name));
  r.out.host.ek_name = name;
}

// True: the AK signed these claims, for this challenge or for the one that the claims name.
bool CheckFresh(Round& r) {
  const evidence::Evidence& e = r.request.evidence;
  Result<evidence::Claims> claims = evidence::ParseClaims(e.claims);
  const Digest context =
      r.request.redaction ? r.request.redaction->context : Hash(HashAlg::kSha256, e.context);
  const Bytes expected = evidence::Qualifying(r.request.nonce, r.request.binding, e.claims, context);
  r.fresh = Equal(r.quote.extra_data, expected);
  if (!claims) {
    if (!r.fresh) r.Add(FindingName::kQuoteQualifying, "the quote does not cover the claims and the context");
    r.Add(FindingName::kClaimsMalformed, claims.error().Message());
    return false;
  }
  if (r.fresh) {
    r.out.claims = std::move(*claims);
    r.made.insert(Check::kFresh);
    return true;
  }
  const Bytes as_told = evidence::Qualifying(claims->nonce, claims->binding, e.claims, context);
  if (!Equal(r.quote.extra_data, as_told)) {
    r.Add(FindingName::kQuoteQualifying,
          "the quote does not cover the claims and the context that came with it");
    return false;
  }
  r.out.claims = std::move(*claims);
  if (r.out.claims.nonce != r.request.nonce)
    r.Add(FindingName::kQuoteNonce,
          fmt::format("the quote answers the nonce {}, not this challenge", r.out.claims.nonce.ToString()));
  if (r.out.claims.binding != r.request.binding)
    r.Add(FindingName::kQuoteRelayed,
          fmt::format("the quote was made for another connection ({})", r.out.claims.binding.type));
  return true;
}

// The highest of the PCRs that the list and the quote use.
std::uint32_t HighestPcr(const Round& r) {
  std::uint32_t highest = std::max(r.out.claims.pcr, r.policy.pcr);
  for (const tpm::BankSelection& bank : r.quote.selection)
    for (const std::uint32_t pcr : bank.pcrs) highest = std::max(highest, pcr);
  return highest;
}

bool CheckSelection(Round& r) {
  bool good = true;
  std::set<std::uint16_t> banks;
  for (const tpm::BankSelection& bank : r.quote.selection) {
    if (!banks.insert(bank.bank).second) {
      r.Add(FindingName::kQuoteSelectionRepeated,
            fmt::format("the quote selects bank {:#06x} twice", bank.bank));
      good = false;
    }
  }
  if (good && r.quote.selection != r.request.selection) {
    r.Add(FindingName::kQuoteSelection,
          fmt::format("the quote is over {}, asked for was {}", tpm::SelectionText(r.quote.selection),
                      tpm::SelectionText(r.request.selection)));
    good = false;
  }
  const bool strong =
      std::any_of(r.quote.selection.begin(), r.quote.selection.end(), [&](const tpm::BankSelection& bank) {
        return std::any_of(r.policy.quote_banks.begin(), r.policy.quote_banks.end(),
                           [&](HashAlg alg) { return static_cast<std::uint16_t>(alg) == bank.bank; }) &&
               std::find(bank.pcrs.begin(), bank.pcrs.end(), r.policy.pcr) != bank.pcrs.end();
      });
  if (!strong) {
    r.Add(FindingName::kQuoteWeakBank,
          fmt::format("PCR {} is not quoted in a bank that the policy accepts", r.policy.pcr));
    good = false;
  }
  if (r.out.claims.pcr != r.policy.pcr) {
    r.Add(FindingName::kQuoteOtherPcr,
          fmt::format("the list is said to belong to PCR {}, not {}", r.out.claims.pcr, r.policy.pcr));
    good = false;
  }
  if (const std::uint32_t highest = HighestPcr(r); highest >= kFirstResettable) {
    r.Add(FindingName::kQuoteResettablePcr,
          fmt::format("PCR {} can be reset and set to any value, so it proves nothing", highest));
    good = false;
  }
  if (good) r.made.insert(Check::kSelection);
  return good;
}

// The PCR values in the claims are only a hint. Values are used only if they belong to the quoted selection
// and their digest is the signed one.
bool CheckPcrValues(Round& r) {
  tpm::PcrValues values = r.out.claims.pcrs;
  tpm::PcrValues proven;
  for (const tpm::BankSelection& bank : r.quote.selection) {
    for (const std::uint32_t index : bank.pcrs) {
      if (!values[bank.bank].contains(index)) {
        r.Add(FindingName::kQuotePcrValues,
              fmt::format("the evidence has no value of PCR {} in bank {:#06x}", index, bank.bank));
        return false;
      }
      proven[bank.bank][index] = values[bank.bank][index];
    }
  }
  const Result<Digest> digest = tpm::PcrDigest(r.quote.selection, proven);
  if (!digest || !Equal(digest->view(), r.quote.pcr_digest)) {
    r.Add(FindingName::kQuotePcrDigest, "the PCR values are not those that were quoted");
    return false;
  }
  r.pcrs = std::move(proven);
  r.made.insert(Check::kPcrValues);
  return true;
}

// Part 1, clause 36.2: the TPM saves its clock in NV at least every 2^22 ms, so a power loss can set it back
// by that much.
constexpr std::uint64_t kClockLoss = std::uint64_t{1} << 22;

// No machine boots faster.
constexpr std::uint64_t kFastestBoot = 500;  // milliseconds

// A reset empties the PCRs. Without a reboot of the system its software can extend them again, with a list of
// its choice. The finding stays for as long as the boot id does.
void CheckResetRunning(Round& r, bool reset) {
  const std::string& boot_id = r.out.claims.boot_id;
  const HostState& before = r.host;
  const auto found = [&](const std::string& why) {
    r.out.host.reset_in = boot_id;
    r.Add(FindingName::kClockResetRunning, "the TPM was reset without a reboot of the system: " + why);
  };
  r.out.host.reset_in.clear();
  const std::uint64_t now = r.quote.clock.clock;
  if (reset && !boot_id.empty() && boot_id == before.boot_id)
    found(fmt::format("it is still boot {}", boot_id));
  else if (reset && now >= before.clock && now - before.clock < kFastestBoot)
    found(fmt::format("{} ms after the last quote", now - before.clock));
  else if (r.out.claims.tpm_reset)
    found("the attester has noticed it");
  else if (!before.reset_in.empty() && boot_id == before.reset_in)
    found(fmt::format("earlier in boot {}", boot_id));
}

bool CheckClock(Round& r) {
  const tpm::ClockInfo& now = r.quote.clock;
  const HostState& before = r.host;
  HostState& host = r.out.host;
  const bool reset = now.reset_count != before.reset_count;
  bool good = true;
  if (before.rounds == 0) {
    // There is no earlier clock to compare with.
  } else if (now.reset_count < before.reset_count) {
    r.Add(FindingName::kClockResetCount,
          fmt::format("the TPM's reset count went from {} back to {}", before.reset_count, now.reset_count));
    good = false;
  } else if (reset && now.clock + kClockLoss < before.clock) {
    r.Add(FindingName::kClockBack,
          fmt::format("the TPM was reset and its clock went from {} ms back to {} ms", before.clock,
                      now.clock));
    good = false;
  } else if (!reset && (now.clock < before.clock || now.restart_count < before.restart_count)) {
    r.Add(FindingName::kClockBack,
          now.clock < before.clock
              ? fmt::format("the TPM's clock went from {} ms back to {} ms", before.clock, now.clock)
              : fmt::format("the TPM's restart count went from {} back to {}, without a reset",
                            before.restart_count, now.restart_count));
    good = false;
  } else if (reset || now.restart_count != before.restart_count) {
    // A restart of the TPM may or may not be a resume, which keeps the PCRs; the clock does not tell which.
    // In both cases the list is judged from its start again, and facts of the last boot do not apply to this
    // one.
    r.out.rebooted = true;
    host.records = 0;
    host.prefix.clear();
    host.standing.clear();
    host.own.clear();
    const bool from_start = r.request.first_record == 0;
    r.Add(reset ? FindingName::kClockRebooted : FindingName::kClockRestarted,
          from_start ? Verdict::kTrusted : Verdict::kUnknown,
          fmt::format("the TPM was {} {} time(s) since the last round{}",
                      reset ? "reset" : "restarted or resumed",
                      reset ? now.reset_count - before.reset_count : now.restart_count - before.restart_count,
                      from_start ? "" : ": the list must be asked for from its start"));
    if (!from_start) good = false;
  }
  CheckResetRunning(r, before.rounds > 0 && now.reset_count > before.reset_count);
  if (!now.safe)
    r.Add(FindingName::kClockUnsafe,
          "the TPM lost power without notice: its clock may have been set back by some minutes");
  host.clock = now.clock;
  host.reset_count = now.reset_count;
  host.restart_count = now.restart_count;
  host.boot_id = r.out.claims.boot_id;
  if (good) r.made.insert(Check::kClock);
  return good;
}

}  // namespace

bool CheckQuote(Round& r) {
  const evidence::Evidence& e = r.request.evidence;
  r.out.host = r.host;
  tpm::KeyPublic ak;
  const bool ak_good = CheckAk(r, ak);
  CheckEk(r);
  if (ak.name.empty()) return false;
  if (const Result<> signature = tpm::VerifyQuoteSignature(ak, e.attest, e.signature); !signature) {
    r.Add(FindingName::kQuoteSignature, signature.error().Message());
    return false;
  }
  r.made.insert(Check::kSignature);
  Result<tpm::Quote> quote = tpm::ParseQuote(e.attest);
  if (!quote) {
    r.Add(FindingName::kQuoteMalformed, quote.error().Message());
    return false;
  }
  r.quote = std::move(*quote);
  if (!CheckFresh(r)) return false;
  // From here on everything is signed, though perhaps by the wrong key or for another challenge. The checks
  // go on, so that every problem is reported.
  const bool selection = CheckSelection(r);
  const bool values = selection && CheckPcrValues(r);
  const bool clock = CheckClock(r);
  if (r.out.claims.tpm_software || r.host.tpm_software)
    r.Add(FindingName::kTpmSoftware, r.policy.allow_software_tpm ? Verdict::kTrusted : Verdict::kNotTrusted,
          fmt::format("the TPM is software ({})", r.out.claims.tpm_vendor));
  r.sound = ak_good && r.fresh && values && clock;
  return clock || !r.out.rebooted;
}

}  // namespace assay::appraise
