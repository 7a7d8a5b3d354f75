// Internal: the recorder's PCR, in each active bank of the TPM.
//
//   // given: tpm::Tpm& tpm, ByteView data
//   RecorderPcr pcr;
//   ASSAY_TRY(pcr.Start(tpm, 10, std::nullopt));
//   const Step step = pcr.MakeStep(ima::Template::kNg, data, Meaning::kContent);
//   ASSAY_TRY(pcr.Extend(step.extends));
//
// Contract: does not change after Start(), so that any thread may use it; the order of extends is the
// caller's. The TPM outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "list/list.h"
#include "measure/record/step.h"
#include "tpm/tpm.h"

namespace assay::measure {

class RecorderPcr {
 public:
  // list_bank: no value: the best bank that the TPM has. "recorder.no-bank" if the TPM lacks the bank of the
  // list.
  Result<> Start(tpm::Tpm& tpm, std::uint32_t pcr, std::optional<HashAlg> list_bank);
  Result<Values> Read() const;
  Result<> Extend(const Values& extends) const;
  Result<> Reconnect() const;

  static Values After(const Values& from, const Values& extends);
  Values Zero() const;
  Step MakeStep(ima::Template record_template, ByteView data, Meaning meaning) const;
  // The step for a record of the kernel, which may have any template.
  Step MakeStep(std::string_view template_name, ByteView data, bool violation) const;

  tpm::Tpm& tpm() const { return *tpm_; }
  std::uint32_t index() const { return pcr_; }
  const std::vector<HashAlg>& banks() const { return banks_; }
  std::size_t list_bank() const { return list_bank_; }  // its position in banks()
  HashAlg list_alg() const { return banks_[list_bank_]; }

 private:
  tpm::Tpm* tpm_ = nullptr;
  std::uint32_t pcr_ = 0;
  std::vector<HashAlg> banks_;
  std::size_t list_bank_ = 0;
};

}  // namespace assay::measure
