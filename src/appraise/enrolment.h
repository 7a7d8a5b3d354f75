// Enrolment: decides whether the TPM that an attester showed is accepted for it. Pure, as Appraise().
//
//   // given: const EnrolRequest& request, const Policy& policy
//   const Enrolment enrolment = Enrol(request, HostState{}, policy);
//   if (enrolment.verdict == Verdict::kTrusted) log::Info("AK {}", enrolment.host.ak_name);   // pinned there
//
// Contract: the EK is accepted by its certificate (up to a root in `trust`), by the policy's allowed_eks, or,
// where the policy allows it, unverified (first use). `identity` says which, and so does every later result.
// Every problem is a finding (docs/findings.md). If the machine's maker gave it an IAK, the findings and
// host.device say which machine it is; that does not decide whether the TPM is accepted. The host's state
// changes only when no finding weighs.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "appraise/appraise.h"
#include "evidence/enrol.h"
#include "tpm/ek_certificate.h"

namespace assay::appraise {

// HostState::identity
inline constexpr std::string_view kByCertificate = "certificate", kByList = "listed", kByName = "named",
                                  kByFirstUse = "first-use";

struct EnrolRequest {
  const evidence::Identity& identity;
  bool proven = false;  // the TPM with this EK proved that the AK is its own
  std::string why;      // it is not proven
  const tpm::EkTrust& trust;
  std::int64_t now_s = 0;                // seconds since 1970
  evidence::Activation activation = {};  // the words of the machine's own keys, if it has any
  Bytes device_qualifying = {};          // over which they must be
};

struct Enrolment {
  Verdict verdict = Verdict::kUnknown;
  std::vector<Finding> findings;
  std::string ak_name, ek_name;  // hex, computed from the public areas; empty: they could not be parsed
  std::string identity;          // how the EK was verified; empty: it was not
  tpm::EkFacts facts;            // of the certificate
  DeviceName device;             // proven by an IAK; empty: it is not
  HostState host;                // with the keys pinned, or unchanged
};
Enrolment Enrol(const EnrolRequest& request, const HostState& before, const Policy& policy);

// As text for people, and as JSON for scripts.
std::string Describe(const Enrolment& enrolment, bool colour);
nlohmann::json ToJson(const Enrolment& enrolment);

}  // namespace assay::appraise
