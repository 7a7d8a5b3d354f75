// A redacted list in which the input replaces bytes. The PCR is the TPM's: the verdict is 'trusted' only if
// the records extend what they did before, shown or withheld.
#include <algorithm>

#include "appraise/redaction.h"
#include "appraise/result.h"
#include "appraise/synthetic.h"
#include "base/fuzzing.h"

using namespace assay;
using namespace assay::appraise;

namespace {

std::vector<Bytes> Extends(const Bytes& list) {
  std::vector<Bytes> out;
  ima::ListReader reader(list, HashAlg::kSha256);
  while (true) {
    const auto record = reader.Next();
    if (!record || !*record) return out;
    out.push_back(IsWithheld(**record) ? ToBytes((*record)->template_digest)
                                       : ToBytes(ima::ExtendValue(HashAlg::kSha256, **record).view()));
  }
}

struct Seed {
  SyntheticHost host;
  Policy policy;
  SavedRound round;
  Seed() {
    const auto in = [](char c) { return "/machine.slice/libpod-" + std::string(64, c) + ".scope"; };
    host.Know("web", "/usr/bin/web");
    host.File("web", "/usr/bin/web", in('a'));
    host.File("other", "/usr/bin/other", in('b'));
    host.File("web", "/usr/bin/web", in('a'));
    policy.allow_first_use = true;
    SavedRound whole;
    whole.nonce = evidence::Nonce::Filled(7);
    whole.evidence = host.Quote(whole.nonce);
    whole.binding = {"unix", {}};
    whole.selection = host.Selection();
    const auto redacted = Redact(whole, *evidence::ContainerPattern::Parse(std::string(64, 'a')));
    Require(redacted.has_value());
    round = redacted->round;
    Require(Judge(round).verdict == Verdict::kTrusted);
  }
  Appraisal Judge(const SavedRound& r) const { return Appraise(r.AsRequest(), r.before, host, policy); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Seed seed;
  if (size < 4) return 0;
  SavedRound r = seed.round;
  Bytes& list = r.evidence.list;
  const std::size_t at = std::min<std::size_t>(data[0] | data[1] << 8, list.size());
  const std::size_t n = std::min<std::size_t>(data[2] | data[3] << 8, list.size() - at);
  const auto from = list.begin() + static_cast<std::ptrdiff_t>(at);
  list.insert(list.erase(from, from + static_cast<std::ptrdiff_t>(n)), data + 4, data + size);
  const Appraisal a = seed.Judge(r);
  (void)Describe(a, true, false);
  if (a.verdict == Verdict::kTrusted) Require(Extends(list) == Extends(seed.round.evidence.list));
  // A list that some container's tenant was given is redacted again only by mistake; any bytes are refused or
  // redacted.
  r.redaction.reset();
  (void)Redact(r, seed.round.redaction->container);
  return 0;
}
