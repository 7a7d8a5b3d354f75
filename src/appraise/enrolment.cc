#include "appraise/enrolment.h"

#include <fmt/core.h>

#include "appraise/checks.h"
#include "appraise/finding_names.h"
#include "tpm/device_certificate.h"

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
  void CheckDevice();
  void CheckDeviceKey(const char* name, const Bytes& certificate, const Bytes& attest,
                      const Bytes& signature);
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

// The certificate of an IAK or an IDevID, and what its key says of the AK. A machine may as well have none,
// so what is merely missing does not weigh; what is wrong does.
void Enrolling::CheckDeviceKey(const char* name, const Bytes& certificate, const Bytes& attest,
                               const Bytes& signature) {
  if (certificate.empty()) return;
  const tpm::DeviceReport report =
      tpm::CheckDeviceCertificate(certificate, request.identity.device_chain, request.trust, request.now_s);
  const tpm::DeviceFacts& facts = report.facts;
  const std::string machine = fmt::format("{} (model {}, serial number {})", facts.subject, facts.model,
                                          facts.serial.empty() ? "not told" : facts.serial);
  for (const StateError& problem : report.problems)
    Add(FindingOf(problem).value_or(FindingName::kDeviceCertificateRefused),
        fmt::format("the certificate of the {}, for {}: {}", name, machine, problem.what));
  const bool signed_by_it = !attest.empty() || !signature.empty();
  if (signed_by_it) {
    const Result<tpm::KeyPublic> ak = tpm::ParsePublic(request.identity.ak_public);
    const Result<> proof = tpm::CheckDeviceProof(certificate, attest, signature, ak ? ak->name : Bytes(),
                                                 request.device_qualifying);
    if (!proof)
      return Add(FindingName::kDeviceProofWrong,
                 fmt::format("the proof by the {}, for {}: {}", name, machine, proof.error().Message()));
  }
  if (!report.problems.empty()) return;
  if (signed_by_it && facts.restricted && request.proven) {
    Add(FindingName::kDeviceIdentified,
        fmt::format("the machine is {}: its {} is in the TPM of the AK", machine, name));
    out.device = {.subject = facts.subject, .model = facts.model, .serial = facts.serial};
    return;
  }
  const char* why = !signed_by_it       ? "its key has signed nothing"
                    : !facts.restricted ? "it has the key, which signs whatever it is given"
                                        : "the AK itself is not proven";
  const std::string& told = request.activation.device_error;
  Add(FindingName::kDeviceNotProven,
      fmt::format(
          "the machine says that it is {}, by an {}; that this is the TPM of the AK is not proven: {}{}",
          machine, name, why, signed_by_it || told.empty() ? "" : " (" + told + ")"));
}

void Enrolling::CheckDevice() {
  if (!request.identity.device_certificate_error.empty())
    Add(FindingName::kDeviceCertificateUnreadable,
        "the TPM has a certificate of the machine that can't be read: " +
            request.identity.device_certificate_error);
  const evidence::Activation& a = request.activation;
  CheckDeviceKey("IAK", request.identity.iak_certificate, a.iak_attest, a.iak_signature);
  CheckDeviceKey("IDevID", request.identity.idevid_certificate, a.idevid_attest, a.idevid_signature);
  const DeviceName none;
  if (before.device != none && out.device != none && before.device != out.device)
    Add(FindingName::kDeviceChanged,
        fmt::format("the machine is {}, it was {}", out.device.subject, before.device.subject));
}

}  // namespace

Enrolment Enrol(const EnrolRequest& request, const HostState& before, const Policy& policy) {
  Enrolling e{.request = request, .before = before, .policy = policy, .out = {}};
  e.out.host = before;
  e.CheckAk();
  if (const std::optional<tpm::KeyPublic> ek = e.CheckEk()) e.CheckWhoVouches(*ek);
  if (!request.proven) e.Add(FindingName::kEkNotProven, request.why);
  e.CheckDevice();
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
  if (out.device != DeviceName{}) out.host.device = out.device;
  out.host.tpm_software = software;
  return out;
}

}  // namespace assay::appraise
