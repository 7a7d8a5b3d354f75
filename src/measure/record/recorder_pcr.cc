#include "measure/record/recorder_pcr.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "measure/record/errors.h"
#include "measure/record/extend_times.h"
#include "tpm/errors.h"

namespace assay::measure {
namespace {

std::atomic<std::uint64_t> extend_count, extend_us, longest_us;

void Note(std::chrono::steady_clock::duration took) {
  const auto us =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  ++extend_count;
  extend_us += us;
  std::uint64_t longest = longest_us;
  while (us > longest && !longest_us.compare_exchange_weak(longest, us)) {
  }
}

}  // namespace

ExtendTimes TimesOfExtends() {
  return {.count = extend_count, .total_us = extend_us, .longest_us = longest_us};
}

Result<> RecorderPcr::Start(tpm::Tpm& tpm, std::uint32_t pcr, std::optional<HashAlg> list_bank) {
  tpm_ = &tpm;
  pcr_ = pcr;
  ASSAY_ASSIGN(banks_, tpm.ActiveBanks(pcr));
  const std::optional<HashAlg> best = tpm::BestBank(banks_);
  const std::optional<HashAlg> wanted = list_bank ? list_bank : best;
  const auto bank = std::find(banks_.begin(), banks_.end(), wanted.value_or(HashAlg::kSha256));
  if (!wanted || bank == banks_.end())
    return Fail(StateError(
        RecorderError::kNoBank,
        list_bank ? fmt::format("the TPM has no active {} bank", HashName(*list_bank))
                  : "the TPM has no active bank of SHA-256, SHA-384 or SHA-512, and others are too weak"));
  list_bank_ = static_cast<std::size_t>(bank - banks_.begin());
  return {};
}

Result<Values> RecorderPcr::Read() const {
  tpm::PcrSelection selection;
  for (const HashAlg bank : banks_)
    selection.push_back({.bank = static_cast<std::uint16_t>(bank), .pcrs = {pcr_}});
  ASSAY_ASSIGN(const tpm::PcrValues read, tpm_->ReadPcrs(selection));
  Values out;
  for (const HashAlg bank : banks_) {
    const auto found = read.find(static_cast<std::uint16_t>(bank));
    if (found == read.end() || !found->second.contains(pcr_))
      return Fail(StateError(tpm::TpmFault::kNoSuchPcr, "a bank of the recorder's PCR is gone"));
    out.push_back(found->second.at(pcr_));
  }
  return out;
}

Result<> RecorderPcr::Extend(const Values& extends) const {
  const auto begin = std::chrono::steady_clock::now();
  Result<> extended = tpm_->Extend(tpm::RawExtend::ForRecorder(), pcr_, extends);
  Note(std::chrono::steady_clock::now() - begin);
  return extended;
}

Result<> RecorderPcr::Reconnect() const { return tpm_->Reconnect(); }

Values RecorderPcr::After(const Values& from, const Values& extends) {
  Values out;
  out.reserve(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) out.push_back(ExtendPcr(from[i], extends[i]));
  return out;
}

Values RecorderPcr::Zero() const {
  Values out;
  out.reserve(banks_.size());
  for (const HashAlg bank : banks_) out.push_back(Digest::Filled(bank, 0));
  return out;
}

Step RecorderPcr::MakeStep(ima::Template record_template, ByteView data, Meaning meaning) const {
  Step step = MakeStep(ima::TemplateName(record_template), data, meaning == Meaning::kViolation);
  step.start = meaning == Meaning::kStart;
  return step;
}

Step RecorderPcr::MakeStep(std::string_view template_name, ByteView data, bool violation) const {
  Step step;
  step.violations = violation ? 1 : 0;
  for (const HashAlg bank : banks_)
    step.extends.push_back(violation ? Digest::Filled(bank, 0xFF)
                                     : ima::TemplateDigest(bank, template_name, data));
  const Digest column = violation ? Digest::Filled(list_alg(), 0) : step.extends[list_bank_];
  step.record = ima::EncodeRecord(pcr_, column, template_name, data);
  return step;
}

}  // namespace assay::measure
