// The kernel's own measurement list, for the `kernel-ima` engine: it is read and served where the kernel
// itself measures by a policy. No function here extends a PCR.
//
//   // given: tpm::Tpm& tpm
//   ASSAY_ASSIGN(std::unique_ptr<KernelList> list, KernelList::Open({}, tpm));
//   ASSAY_TRY(list->Sync());              // reads what the kernel has added; also done for each quote
//
// Contract: it reads binary_runtime_measurements_BANK (since Linux 6.10), or the classic file with its SHA-1
// columns, and serves a copy in memory that has columns of BANK: the TPM's SHA-256, SHA-384 or SHA-512. The
// template data is the kernel's, byte for byte. A SHA-1 column that does not match its data is StateError
// "kernel-ima.column". A list with only the boot_aggregate is "kernel-ima.silent": no policy measures. The
// kernel appends a record before it extends the PCR, and does not stop for a quote. So Quiesce() finds the
// record up to which list and PCR agree, and calls fn again if the PCR changed during the call;
// "kernel-ima.busy" after kTries. A PCR that no prefix of the list explains is "kernel-ima.pcr-unexplained",
// a TPM that was reset since Open() "kernel-ima.pcr-reset". Only that bank is checked: in other banks the
// kernel may have extended a padded SHA-1. Source: Linux 6.12 security/integrity/ima/ima_fs.c, ima_queue.c.
//
// From Linux 7.2 on, a kernel with CONFIG_IMA_STAGING lets programs stage records and delete them. Then the
// list is kept open, so that nobody can while the attester runs, both files are read, and what was read is
// kept in `store` for an attester that starts later. The PCR decides where a list goes on whose beginning is
// gone; records that were deleted unread are "kernel-ima.trimmed". If a program has the list open to stage or
// delete at the start, this is "kernel-ima.in-use".
#pragma once

#include <memory>
#include <string>

#include "measure/lists/list_source.h"
#include "tpm/tpm.h"

namespace assay::measure {

struct KernelListOptions {
  std::string folder = "/sys/kernel/security/ima";
  std::uint32_t pcr = 10;  // CONFIG_IMA_MEASURE_PCR_IDX
  // Keeps the list that was read, with columns of the served bank, if programs can delete records from the
  // kernel's. An attester that starts later goes on from there. Empty: nothing is kept.
  std::string store;
};
inline constexpr std::uint64_t kMaxKernelList = std::uint64_t{1} << 30;  // bytes; a larger list is refused

class KernelList final : public ListSource {
 public:
  static constexpr int kTries = 20;
  static Result<std::unique_ptr<KernelList>> Open(KernelListOptions options, tpm::Tpm& tpm);
  ~KernelList() override;
  Result<> Sync();
  // The result of the last Sync(), and whether the list explained the PCR of the last quote.
  Result<> Health() const;
  bool CanBeStaged() const;  // by other programs
  // The kernel's IMA policy as its command line tells it: "ima_policy=tcb". Nothing proves it.
  static std::string PolicyOptions();

  std::uint32_t Pcr() const override;
  HashAlg ListBank() const override;
  RecorderState State() const override;
  Result<> Quiesce(const std::function<Result<>(const RecorderState&)>& fn) override;
  Result<UniqueFd> OpenList() const override;
  Result<UniqueFd> OpenJournal() const override;  // an empty file: the kernel does not say what loaded a file
  Result<std::uint64_t> OffsetOf(std::uint64_t record) const override;
  int GrowthFd() const override;

 private:
  struct Impl;
  explicit KernelList(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
