#include "reference/further_digests.h"

#include <algorithm>

#include "appraise/other_digest.h"

namespace assay::reference {
namespace {

constexpr std::string_view kVerity = "verity";

}  // namespace

Result<FurtherKinds> ParseFurtherKinds(std::string_view names) {
  FurtherKinds out;
  while (!names.empty()) {
    const std::string name(names.substr(0, names.find(',')));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    const std::optional<HashAlg> alg = HashFromName(name);
    if (name == kVerity) {
      out.verity = true;
    } else if (!alg || !CanHash(*alg)) {
      return Fail(UsageError("'" + name + "' is none of sha1, sha256, sha384, sha512 and verity"));
    } else if (*alg != HashAlg::kSha256 &&
               std::find(out.algs.begin(), out.algs.end(), *alg) == out.algs.end()) {
      out.algs.push_back(*alg);
    }
  }
  return out;
}

FurtherHasher::FurtherHasher(const FurtherKinds& kinds) {
  for (const HashAlg alg : kinds.algs) hashers_.emplace_back(alg);
  if (kinds.verity) verity_.emplace();
}

void FurtherHasher::Update(ByteView data) {
  for (Hasher& hasher : hashers_) hasher.Update(data);
  if (verity_) verity_->Update(data);
}

std::vector<Digest> FurtherHasher::Finish() {
  std::vector<Digest> out;
  out.reserve(hashers_.size() + 1);
  for (Hasher& hasher : hashers_) out.push_back(appraise::StandIn(hasher.Finish().ToString()));
  if (verity_) out.push_back(appraise::StandIn(std::string(kVerity) + ":" + verity_->Finish().ToString()));
  return out;
}

}  // namespace assay::reference
