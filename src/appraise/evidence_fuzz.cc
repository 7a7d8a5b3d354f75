// The whole verifier, against an attester that lies. The PCRs are the TPM's, so the input can't change them.
// Input: mode | part | bytes. Even mode: one part of good evidence is replaced and nothing is signed again;
// 'trusted' only if nothing changed. Odd mode: claims, context or list are replaced and the quote is made
// again, as root on the attester can do; 'trusted' only with the list that the PCR proves. Mode 2 of 4: the
// same by a program that has the AK but not the run key, after the attester has ended; 'trusted' only if
// nothing changed.
#include <algorithm>

#include "appraise/result.h"
#include "appraise/synthetic.h"
#include "appraise/synthetic_boot.h"
#include "base/fuzzing.h"
#include "base/json_dump.h"

using namespace assay;
using namespace assay::appraise;

namespace {

struct Seed {
  MeasuredBoot boot = MeasureBoot();
  SyntheticHost host{boot.pcrs};
  Policy policy;
  evidence::Nonce nonce = evidence::Nonce::Filled(7);
  evidence::Evidence good;
  Seed() {
    for (int i = 0; i < 4; ++i) host.Know(fmt::format("content {}", i), fmt::format("/usr/bin/p{}", i));
    host.File("content 0", "/usr/bin/p0");
    host.Group({ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p1"),
                ima::EncodeNg(DigestOf("content 2"), "/usr/bin/p2")});
    host.File("content 3", "/usr/bin/p3");
    host.context = evidence::EncodeContextLine(
        {.index = 5, .sub = 0, .time_ms = 1, .pid = 2, .uid = 3, .comm = "sh", .hook = "exec"});
    good = host.Quote(nonce);
    good.event_log = boot.log;
    policy.require_secure_boot = true;
    // The same key can have many public areas (authPolicy, reserved attributes), which only differ by name.
    policy.pinned_ak = Hex(tpm::ParsePublic(good.ak_public)->name);
    Require(Judge(good).verdict == Verdict::kTrusted);
  }
  Appraisal Judge(const evidence::Evidence& e) const {
    return Appraise(host.Ask(e, nonce), HostState{}, host, policy, {boot.expected});
  }
};

constexpr Bytes evidence::Evidence::* kParts[] = {
    &evidence::Evidence::attest,    &evidence::Evidence::signature, &evidence::Evidence::ak_public,
    &evidence::Evidence::claims,    &evidence::Evidence::context,   &evidence::Evidence::list,
    &evidence::Evidence::ek_public, &evidence::Evidence::event_log, &evidence::Evidence::run_signature};

// The log is not signed, so another log that replays to the same PCRs is accepted.
bool SameBoot(const Bytes& event_log, const tpm::PcrValues& pcrs) {
  const auto log = boot::ParseEventLog(event_log);
  if (!log) return false;
  const boot::Replayed replayed = boot::Replay(*log);
  const auto& quoted = pcrs.at(SyntheticHost::kBank);
  return std::all_of(quoted.begin(), quoted.end(), [&](const auto& pcr) {
    return pcr.first == 10 || replayed.Value(HashAlg::kSha256, pcr.first) == pcr.second;
  });
}

// The content of the records, without their columns, which are only hints.
std::vector<Bytes> Content(const Bytes& list) {
  std::vector<Bytes> out;
  ima::ListReader reader(list, HashAlg::kSha256);
  while (true) {
    const auto record = reader.Next();
    if (!record || !*record) return out;
    out.push_back(ToBytes((*record)->data));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Seed seed;
  if (size < 2) return 0;
  const bool lies = data[0] % 2 != 0, impostor = data[0] % 4 == 2;
  // Root on the attester can forge the parts besides the quote.
  const std::size_t part = lies || impostor ? 3 + data[1] % 3 : data[1] % std::size(kParts);
  evidence::Evidence e = seed.good;
  const Bytes& before = seed.good.*kParts[part];
  if (size >= 6) {
    const std::size_t at = std::min<std::size_t>(data[2] | data[3] << 8, before.size());
    const std::size_t n = std::min<std::size_t>(data[4] | data[5] << 8, before.size() - at);
    Bytes& now = e.*kParts[part];
    now.erase(now.begin() + static_cast<std::ptrdiff_t>(at),
              now.begin() + static_cast<std::ptrdiff_t>(at + n));
    now.insert(now.begin() + static_cast<std::ptrdiff_t>(at), data + 6, data + size);
  }
  if (lies) {
    seed.host.Attest(e, seed.nonce, seed.host.Selection());
    seed.host.Sign(e);
  } else if (impostor) {
    seed.host.Attest(e, seed.nonce, seed.host.Selection());
    seed.host.SignAk(e);
  }
  const Appraisal a = seed.Judge(e);
  (void)Describe(a, true, true);
  (void)DumpJson(ToJson(a, true));
  const auto state = ParseHostState(EncodeHostState(a.host));
  Require(state.has_value());
  if (a.verdict != Verdict::kTrusted) return 0;
  if (impostor) {
    Require(e.attest == seed.good.attest);
  } else if (lies) {
    Require(Content(e.list) == Content(seed.good.list));
  } else if (kParts[part] == &evidence::Evidence::event_log) {
    Require(SameBoot(e.event_log, seed.host.pcrs));
  } else if (e.*kParts[part] != before && kParts[part] != &evidence::Evidence::ek_public) {
    // The same signature in another encoding (leading zeros) is still the AK's over the same bytes.
    Require(kParts[part] == &evidence::Evidence::signature ||
            kParts[part] == &evidence::Evidence::run_signature);
  }
  return 0;
}
