#include "cli/attest_round.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <functional>

#include "appraise/finding_names.h"
#include "base/clock.h"
#include "boot/boot_json.h"
#include "channel/client.h"
#include "evidence/evidence.h"

namespace assay::cli {
namespace {

using appraise::Appraisal;
using appraise::Verdict;

constexpr std::size_t kMaxBoot = std::size_t{16} << 20;

// The selection to judge by if none was asked for: what the attester chose, if that is PCR 0 to 14 in one
// bank, with further ones up to the list's. If it chose anything else, the round is judged as if SHA-256 had
// been asked for.
Result<tpm::PcrSelection> UsualSelection(ByteView attest) {
  const Result<tpm::Quote> quote = tpm::ParseQuote(attest);
  if (quote && quote->selection.size() == 1) {
    const tpm::BankSelection& chosen = quote->selection.front();
    const std::optional<HashAlg> bank = HashFromTpmAlg(chosen.bank);
    bool each = chosen.pcrs.size() > evidence::kLastUsualPcr;
    for (std::uint32_t i = 0; i < chosen.pcrs.size(); ++i) each = each && chosen.pcrs[i] == i;
    if (each && bank && tpm::BestBank(std::array{*bank})) return quote->selection;
  }
  return tpm::ParseSelectionText(fmt::format("sha256:0-{}", evidence::kLastUsualPcr));
}

Result<appraise::SavedRound> Ask(const Target& o, const appraise::HostState& before, std::uint64_t first) {
  appraise::SavedRound r;
  r.before = before;
  r.first_record = first;
  r.time_ms = NowMs();
  if (!o.selection.empty()) {
    ASSAY_ASSIGN(r.selection, tpm::ParseSelectionText(o.selection));
  }
  ASSAY_ASSIGN(r.nonce, o.nonce.empty() ? evidence::Nonce::Random() : evidence::Nonce::Parse(o.nonce));
  evidence::Challenge challenge;
  challenge.nonce = r.nonce;
  challenge.first_record = first;
  challenge.selection = r.selection;
  Result<channel::Answer> answer;
  if (!o.address.unix_path.empty()) {
    answer = channel::ChallengeUnix(o.address.unix_path, challenge, o.address.timeout);
  } else {
    ASSAY_ASSIGN(const channel::TlsPeer peer, o.address.Peer());
    answer = channel::ChallengeTls(peer, challenge);
  }
  if (!answer) return Fail(answer.error().In("asking the attester at " + o.address.text()));
  r.evidence = std::move(answer->evidence);
  r.binding = std::move(answer->binding);
  r.peer = std::move(answer->peer);
  if (o.selection.empty()) {
    ASSAY_ASSIGN(r.selection, UsualSelection(r.evidence.attest));
  }
  return r;
}

// Whether the attester does not have the list as far as this verifier knows it. Other refusals stay what they
// are when the whole list is asked for.
bool ListIsShorter(const Error& error) {
  const auto* refused = error.As<channel::RefusedError>();
  return refused != nullptr && refused->reason == evidence::RefusalCode::kBadRequest;
}

// Which PCR its list takes is a setting of this machine (record/pcr), and it may not be one that the firmware
// uses.
void TakeOwnPcr(ByteView claims, appraise::Policy& policy) {
  constexpr std::uint32_t kLowest = 8;
  const Result<evidence::Claims> said = evidence::ParseClaims(claims);
  if (said && said->pcr >= kLowest) policy.pcr = said->pcr;
}

// Whether there is a finding that only the whole list can clear.
bool NeedsWholeList(const Appraisal& a) {
  return a.rebooted || std::any_of(a.findings.begin(), a.findings.end(), [](const appraise::Finding& f) {
           return f.name == appraise::FindingName::kListNoPrefix ||
                  f.name == appraise::FindingName::kListJudgedOtherwise ||
                  (f.name == appraise::FindingName::kOwnMissingBinary && f.weight == Verdict::kUnknown);
         });
}

}  // namespace

Result<std::vector<boot::ExpectedBoot>> LoadBoots(const std::vector<std::string>& paths) {
  std::vector<boot::ExpectedBoot> boots;
  for (const std::string& path : paths) {
    ASSAY_ASSIGN(const std::string text, ReadText(path, kMaxBoot));
    Result<boot::ExpectedBoot> learned = boot::ExpectedFromJson(text);
    if (!learned) return Fail(learned.error().In(path));
    boots.push_back(std::move(*learned));
  }
  return boots;
}

Result<RoundResult> AttestOnce(const Target& target, const std::function<void(const std::string&)>& say) {
  ASSAY_ASSIGN(appraise::Policy policy, LoadPolicy(target.policy));
  // Whoever asks its own machine can't be deceived about which machine it is, and is told of a software TPM.
  const bool own_policy = target.own_policy && target.policy.empty();
  if (own_policy) policy.allow_software_tpm = policy.allow_first_use = true;
  ASSAY_ASSIGN(const reference::Indexes references, LoadReferences(target.references, target.images));
  ASSAY_ASSIGN(const std::vector<boot::ExpectedBoot> boots, LoadBoots(target.boots));
  ASSAY_ASSIGN(const appraise::TrustedList trusted, LoadTrusted(target.trusted, target.trusted_key, policy));
  ASSAY_ASSIGN(const appraise::HostState before, LoadState(target.state));
  RoundResult out;
  std::uint64_t first = target.full ? 0 : before.records;
  while (true) {
    say("asking the attester");
    Result<appraise::SavedRound> asked = Ask(target, before, first);
    // The list may be shorter than its known part because the machine was rebooted.
    if (!asked && first > 0 && ListIsShorter(asked.error())) {
      first = 0;
      continue;
    }
    if (!asked) return Fail(asked.error());
    out.round = std::move(*asked);
    if (own_policy) TakeOwnPcr(out.round.evidence.claims, policy);
    say(fmt::format("appraising a list of {} bytes", out.round.evidence.list.size()));
    appraise::Request request = out.round.AsRequest();
    request.entries = target.entries;
    out.appraisal = Appraise(request, before, references, policy, boots, trusted);
    if (first == 0 || !NeedsWholeList(out.appraisal)) break;
    first = 0;
  }
  if (!target.state.empty()) ASSAY_TRY(StoreState(target.state, out.appraisal.host));
  return out;
}

}  // namespace assay::cli
