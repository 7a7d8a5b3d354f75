// The kernel's own measurement list, read and served where the kernel measures by a policy: the `kernel-ima`
// engine. Nothing here extends a PCR.
//
//   ASSAY_ASSIGN(std::unique_ptr<KernelList> list, KernelList::Open({}, tpm));
//   ASSAY_TRY(list->Sync());              // what the kernel has added since; also done for each quote
//
// Contract: reads binary_runtime_measurements_sha256, which Linux has since 6.10, or the classic file with
// its SHA-1 columns, and keeps a copy with SHA-256 columns in memory: the copy is what is served. The
// template data is the kernel's, byte for byte; a SHA-1 column that is not that of its data is StateError
// "kernel-ima.column". A list of boot_aggregate alone is "kernel-ima.silent": no policy measures.
// The kernel appends before it extends, and goes on meanwhile: Quiesce() finds the record up to which list
// and PCR agree, and calls fn again if the PCR moved while it ran; "kernel-ima.busy" after kTries. A PCR that
// no part of the list explains is "kernel-ima.pcr-unexplained". Only the SHA-256 bank is vouched for: in
// others the kernel may have extended a padded SHA-1. Source: Linux 6.12 security/integrity/ima/ima_fs.c,
// ima_queue.c.
#pragma once

#include <memory>
#include <string>

#include "measure/lists/list_source.h"
#include "tpm/tpm.h"

namespace assay::measure {

struct KernelListOptions {
  std::string folder = "/sys/kernel/security/ima";
  std::uint32_t pcr = 10;  // CONFIG_IMA_MEASURE_PCR_IDX
};

class KernelList final : public ListSource {
 public:
  static constexpr int kTries = 20;
  static Result<std::unique_ptr<KernelList>> Open(KernelListOptions options, tpm::Tpm& tpm);
  ~KernelList() override;
  Result<> Sync();
  // The last Sync's outcome, and whether the last quote's PCR was explained.
  Result<> Health() const;
  // What the kernel was told to measure, as far as its command line says: "ima_policy=tcb". Its word only.
  static std::string PolicyOptions();

  std::uint32_t Pcr() const override;
  HashAlg ListBank() const override { return HashAlg::kSha256; }
  RecorderState State() const override;
  Result<> Quiesce(const std::function<Result<>(const RecorderState&)>& fn) override;
  Result<UniqueFd> OpenList() const override;
  Result<UniqueFd> OpenJournal() const override;  // empty: the kernel does not say who
  Result<std::uint64_t> OffsetOf(std::uint64_t record) const override;
  int GrowthFd() const override;

 private:
  struct Impl;
  explicit KernelList(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
