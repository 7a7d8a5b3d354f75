// Checks by the run key whether the attester that wrote the list still answers, and by the cap whether it was
// started early.
#include <fmt/core.h>

#include <algorithm>

#include "appraise/checks.h"
#include "appraise/finding_names.h"
#include "boot/event_log.h"
#include "boot/replay.h"
#include "list/cap.h"

namespace assay::appraise {
namespace {

constexpr std::string_view kKernelIma = "kernel-ima";
constexpr int kMaxTried = 2;  // number of caps that are looked for within a list

// Checks the signature by the run key. Every program of root can use the AK. Only the attester's process has
// the run key, and the PCR proves which key that is.
void CheckSignature(Round& r, const std::map<std::string, std::string>& own) {
  const evidence::Evidence& e = r.request.evidence;
  const auto named = own.find("run_key");
  if (named == own.end()) {
    r.Add(FindingName::kRunMissing,
          "the list's last start record names no run key, so another program may answer in the attester's "
          "name");
    return;
  }
  if (e.run_signature.empty()) {
    r.Add(FindingName::kRunMissing,
          "the answer is not signed by the attester's run key: the attester has ended, and another program "
          "answers in its name");
    return;
  }
  const Result<Bytes> area = FromHex(named->second);
  const Result<tpm::KeyPublic> key =
      area ? tpm::ParsePublic(*area) : Result<tpm::KeyPublic>(Fail(area.error()));
  const Result<> fits = key ? tpm::CheckRunKey(*key) : Result<>(Fail(key.error()));
  if (!fits) {
    r.Add(FindingName::kRunTemplate, "the key of the attester's run: " + fits.error().Message());
    return;
  }
  if (!tpm::VerifyQuoteSignature(*key, evidence::RunStatement(e.attest), e.run_signature))
    r.Add(FindingName::kRunSignature,
          "the answer is signed by another key than the attester's run key: the attester has ended, and "
          "another program answers in its name");
}

// Whether extending `from` by caps only gives `value`.
bool Capped(HashAlg bank, Digest from, const Digest& value) {
  for (std::size_t n = 0; n < ima::kMaxCaps; ++n) {
    from = ExtendPcr(from, ima::CapExtend(bank));
    if (from == value) return true;
  }
  return false;
}

// Whether the second PCR is capped. Only the firmware's part of a boot extends it otherwise.
bool OtherPcrIsCapped(const Round& r) {
  const Result<boot::EventLog> log = boot::ParseEventLog(r.request.evidence.event_log);
  for (const auto& [id, values] : r.pcrs) {
    const std::optional<HashAlg> bank = HashFromTpmAlg(id);
    const auto value = values.find(ima::kCapPcr);
    if (!bank || !CanHash(*bank) || value == values.end()) continue;
    if (Capped(*bank, Digest::Filled(*bank, 0), value->second)) return true;
    if (!log) continue;
    const auto booted = boot::Replay(*log).Value(*bank, ima::kCapPcr);
    if (booted && Capped(*bank, *booted, value->second)) return true;
  }
  return false;
}

// Whether the list hides a cap: it explains the PCR only with caps before its first record, before its second
// record or at its end.
bool ListHidesCap(const Round& r) {
  const evidence::Claims& c = r.out.claims;
  const auto quoted = r.pcrs.find(static_cast<std::uint16_t>(c.list_bank));
  if (quoted == r.pcrs.end() || !quoted->second.contains(r.policy.pcr)) return false;
  const Digest& value = quoted->second.at(r.policy.pcr);
  const auto prefix = r.host.prefix.find(c.list_bank);
  const Digest start =
      c.first_record > 0 && prefix != r.host.prefix.end() ? prefix->second : Digest::Filled(c.list_bank, 0);
  const auto replayed = [&](std::size_t at, int caps) {
    Digest v = start;
    for (std::size_t i = 0; i <= r.extends.size(); ++i) {
      for (int n = 0; i == at && n < caps; ++n) v = ExtendPcr(v, ima::CapExtend(c.list_bank));
      if (i < r.extends.size()) v = ExtendPcr(v, r.extends[i]);
    }
    return v;
  };
  for (int caps = 1; caps <= kMaxTried; ++caps)
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}, r.extends.size()})
      if (at <= r.extends.size() && replayed(at, caps) == value) return true;
  return false;
}

}  // namespace

void CheckRun(Round& r) {
  const std::map<std::string, std::string>& own = r.out.host.own;
  if (own.contains("runs"))
    CheckSignature(r, own);
  else if (r.out.claims.engine == kKernelIma)
    r.Add(FindingName::kRunNone,
          "the kernel itself records and has no run key: the list is proven, but the other claims are only "
          "signed by the AK");
  r.made.insert(Check::kRun);
}

void CheckCap(Round& r) {
  if (!r.made.contains(Check::kPcrValues)) return;
  const bool said = std::any_of(r.out.findings.begin(), r.out.findings.end(),
                                [](const Finding& f) { return f.name == FindingName::kOwnCapped; });
  if (said) return;
  if ((!r.made.contains(Check::kList) && ListHidesCap(r)) || OtherPcrIsCapped(r))
    r.Add(FindingName::kOwnCapped,
          "this boot was capped: no attester was started in the initramfs, and the list that hides this is "
          "forged");
}

}  // namespace assay::appraise
