#include "boot/authority.h"

#include <algorithm>
#include <vector>

#include "boot/authenticode.h"
#include "boot/errors.h"

namespace assay::boot {
namespace {

constexpr std::uint32_t kSecureBootPcr = 7;

// Whether the image has a signature with its own digest that leads to this certificate.
bool IsVerifiedBy(const PeImage& image, ByteView certificate) {
  return std::any_of(image.signatures.begin(), image.signatures.end(), [&](ByteView signature) {
    const auto digest = SignedDigest(signature);
    return digest && *digest == image.Authenticode(digest->alg()) && IsSignedBy(signature, certificate);
  });
}

// The signatures in db or dbx, from an event of PCR 7 whose digest proves the variable.
std::vector<Signature> DatabaseOf(const Examined& now, std::string_view name) {
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto* v = std::get_if<Variable>(&now.decoded[i].body);
    if (v == nullptr || !now.In(i, kSecureBootPcr) || now.event(i).type != kEfiVariableDriverConfig ||
        v->name != name || now.proofs[i].grade != Grade::kProven)
      continue;
    const auto* database = std::get_if<SignatureDatabase>(&v->meaning);
    return database == nullptr ? std::vector<Signature>() : database->signatures;
  }
  return {};
}

// The certificates that verified an image in this boot.
std::vector<ByteView> Authorities(const Examined& now) {
  std::vector<ByteView> out;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto* v = std::get_if<Variable>(&now.decoded[i].body);
    if (v == nullptr || !now.In(i, kSecureBootPcr) || now.event(i).type != kEfiVariableAuthority) continue;
    const auto* signature = std::get_if<Signature>(&v->meaning);
    if (signature != nullptr && signature->certificate) out.push_back(signature->data);
  }
  return out;
}

bool IsForbidden(const Examined& now, const PeImage& image) {
  const Digest digest = image.Authenticode(HashAlg::kSha256);
  const std::vector<Signature> dbx = DatabaseOf(now, "dbx");
  return std::any_of(dbx.begin(), dbx.end(), [&](const Signature& s) {
    return (s.type_name == "sha256" && Equal(s.data, digest.view())) ||
           (s.type_name == "x509" && IsVerifiedBy(image, s.data));
  });
}

}  // namespace

Result<std::optional<std::string>> VerifiedAlike(const Examined& now, const PeImage& before,
                                                 const PeImage& after) {
  using Open = std::optional<std::string>;
  const SecureBootState state = FindSecureBoot(now);
  if (state.state == SecureBoot::kOff) return Open();
  if (state.state == SecureBoot::kUnknown)
    return Open("whether Secure Boot is on can't be told: " + state.reason);
  if (IsForbidden(now, after))
    return Fail(StateError(BootError::kNotBootable, "Secure Boot's dbx forbids the new image"));
  const std::vector<ByteView> authorities = Authorities(now);
  const auto verifies = [](const PeImage& image) {
    return [&image](ByteView certificate) { return IsVerifiedBy(image, certificate); };
  };
  const auto same = std::find_if(authorities.begin(), authorities.end(), verifies(before));
  if (same != authorities.end() && IsVerifiedBy(after, *same)) return Open();
  std::vector<ByteView> others = authorities;
  for (const Signature& s : DatabaseOf(now, "db")) {
    if (s.certificate) others.push_back(s.data);
    if (s.type_name == "sha256" && Equal(s.data, after.Authenticode(HashAlg::kSha256).view()))
      return Open("db allows the new image by its digest and not by its signer");
  }
  if (std::none_of(others.begin(), others.end(), verifies(after)))
    return Fail(StateError(BootError::kNotBootable,
                           "Secure Boot is on, and nothing in db or in the log verifies the new image"));
  if (same == authorities.end())
    return Open("the log does not tell which certificate verified the old image");
  return Open("the new image is verified by another certificate than the old one");
}

}  // namespace assay::boot
