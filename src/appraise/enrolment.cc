#include "appraise/enrolment.h"

#include <fmt/format.h>

#include "appraise/checks.h"
#include "appraise/finding_names.h"

namespace assay::appraise {
namespace {

struct Enrolling {
  const EnrolRequest& request;
  const HostState& before;
  const Policy& policy;
  Enrolment out;

  void Add(FindingName name, Verdict weight, std::string text) {
    AddFinding(out.findings, name, weight, std::move(text));
  }
  void Add(FindingName name, std::string text) { Add(name, WeightOf(name), std::move(text)); }
  void CheckAk();
  std::optional<tpm::KeyPublic> CheckEk();
  void CheckWhoVouches(const tpm::KeyPublic& ek);
};

void Enrolling::CheckAk() {
  const Result<tpm::KeyPublic> ak = tpm::ParsePublic(request.identity.ak_public);
  if (!ak) return Add(FindingName::kAkMalformed, ak.error().Message());
  out.ak_name = Hex(ak->name);
  if (const Result<> good = tpm::CheckAkAttributes(*ak); !good)
    Add(FindingOf(good.error()).value_or(FindingName::kAkMalformed), good.error().Message());
  const std::string& expected = policy.pinned_ak.empty() ? before.ak_name : policy.pinned_ak;
  if (!expected.empty() && expected != out.ak_name)
    Add(FindingName::kAkChanged,
        fmt::format("the attestation key is {}, this host's key is {}", out.ak_name, expected));
}

std::optional<tpm::KeyPublic> Enrolling::CheckEk() {
  Result<tpm::KeyPublic> ek = tpm::ParsePublic(request.identity.ek_public);
  if (!ek) {
    Add(FindingName::kEkMalformed, ek.error().Message());
    return std::nullopt;
  }
  out.ek_name = Hex(ek->name);
  if (const Result<> good = tpm::CheckEkTemplate(*ek); !good)
    Add(FindingOf(good.error()).value_or(FindingName::kEkMalformed), good.error().Message());
  if (!before.ek_name.empty() && before.ek_name != out.ek_name)
    Add(FindingName::kEkChanged,
        fmt::format("the TPM's endorsement key is {}, it was {}", out.ek_name, before.ek_name));
  return std::move(*ek);
}

void Enrolling::CheckWhoVouches(const tpm::KeyPublic& ek) {
  const Bytes& certificate = request.identity.ek_certificate;
  const bool listed = policy.allowed_eks.contains(out.ek_name);
  const bool can_check = request.trust.roots() > 0;
  bool bad = false;
  if (!request.identity.ek_certificate_error.empty())
    Add(FindingName::kEkCertificateUnreadable,
        "the TPM has a certificate that can't be read: " + request.identity.ek_certificate_error);
  if (!certificate.empty() && can_check) {
    tpm::EkReport report =
        tpm::CheckEkCertificate(certificate, request.identity.ek_chain, ek, request.trust, request.now_s);
    out.facts = std::move(report.facts);
    bad = !report.problems.empty();
    // An EK in allowed_eks needs no certificate.
    for (const StateError& problem : report.problems)
      Add(FindingOf(problem).value_or(FindingName::kEkCertificateMalformed),
          listed ? Verdict::kTrusted : Verdict::kNotTrusted, problem.what);
    if (!bad) {
      Add(FindingName::kEkCertified, fmt::format("certified as a TPM by {}, model {}, version {}",
                                                 out.facts.Vendor(), out.facts.model, out.facts.version));
      out.identity = kByCertificate;
      return;
    }
  }
  if (listed) {
    Add(FindingName::kEkListed, "the policy lists this endorsement key");
    out.identity = kByList;
  } else if (!bad) {
    const char* why = !certificate.empty() ? "there are no roots to verify its certificate"
                      : request.identity.ek_certificate_error.empty() ? "the TPM has no certificate"
                                                                      : "its certificate can't be read";
    Add(FindingName::kEkNotVouched, policy.allow_first_use ? Verdict::kTrusted : Verdict::kNotTrusted,
        fmt::format("endorsement key {} is not verified: {}", out.ek_name, why));
    if (policy.allow_first_use) out.identity = kByFirstUse;
  }
}

}  // namespace

Enrolment Enrol(const EnrolRequest& request, const HostState& before, const Policy& policy) {
  Enrolling e{.request = request, .before = before, .policy = policy, .out = {}};
  e.out.host = before;
  e.CheckAk();
  if (const std::optional<tpm::KeyPublic> ek = e.CheckEk()) e.CheckWhoVouches(*ek);
  if (!request.proven) e.Add(FindingName::kEkNotProven, request.why);
  const bool software = request.identity.tpm_software || e.out.facts.Software();
  if (software)
    e.Add(FindingName::kTpmSoftware, policy.allow_software_tpm ? Verdict::kTrusted : Verdict::kNotTrusted,
          fmt::format("the TPM is software ({})", request.identity.tpm_vendor));
  Enrolment out = std::move(e.out);
  out.verdict = Verdict::kTrusted;
  for (const Finding& f : out.findings)
    if (f.weight != Verdict::kTrusted) out.verdict = Verdict::kNotTrusted;
  if (out.verdict != Verdict::kTrusted) return out;
  out.host.ak_name = out.ak_name;
  out.host.ek_name = out.ek_name;
  out.host.identity = out.identity;
  out.host.tpm_software = software;
  return out;
}

}  // namespace assay::appraise
