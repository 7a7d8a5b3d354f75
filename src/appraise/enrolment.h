// Enrolment: whether the TPM that an attester showed is one that may vouch for it. Pure, as Appraise().
//
//   const Enrolment e = Enrol({.identity = id, .proven = true, .trust = roots, .now_s = now}, HostState{},
//   policy); if (e.verdict == Verdict::kTrusted) Save(e.host);       // AK and EK are pinned there
//
// Contract: the EK is vouched for by its certificate (up to a root in `trust`), by the policy's allowed_eks,
// or, where the policy says so, by nothing (first use): `identity` says which, and so does every later
// result. All that is wrong is told (docs/findings.md). The host's state changes only when nothing weighs.
#pragma once

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
  std::string why;      // not proven
  const tpm::EkTrust& trust;
  std::int64_t now_s = 0;  // seconds since 1970
};

struct Enrolment {
  Verdict verdict = Verdict::kUnknown;
  std::vector<Finding> findings;
  std::string ak_name, ek_name;  // hex, as computed from what came; empty: it could not be read
  std::string identity;          // what vouches for the EK; empty: nothing
  tpm::EkFacts facts;            // of the certificate
  HostState host;                // with the keys pinned, or as it was
};
Enrolment Enrol(const EnrolRequest& request, const HostState& before, const Policy& policy);

// For people and for scripts.
std::string Describe(const Enrolment& enrolment, bool colour);
std::string ToJson(const Enrolment& enrolment);

}  // namespace assay::appraise
