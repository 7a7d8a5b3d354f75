// /run/assay: a small FUSE file system with the names and formats of the kernel's securityfs/ima, and what we
// add.
//
//   ASSAY_ASSIGN(std::unique_ptr<Fs> fs, Fs::Mount({.mount_point = "/run/assay"}, recorder, &recorder));
//
//   ascii_runtime_measurements[_ALG], binary_runtime_measurements[_ALG], runtime_measurements_count,
//   violations, policy (write rules, or a path), refusals (JSON lines), status (JSON), measure (write
//   "path\n" or "fd:N\n": returns when the content is recorded)
//
// Contract: the unsuffixed lists have SHA-1 columns, as the kernel's; a suffixed one has its bank's, and
// exists for each active bank. A list ends with a whole record and grows; poll() reports growth. What is
// measured for a caller is a file it has open for reading, or, for root, names. A dead server makes reads
// fail, it never blocks them; what it left mounted is taken away at the next start. docs/formats/runassay.md
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "measure/node/measure_quota.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct FsOptions {
  std::string mount_point;                             // made if it isn't there
  std::function<std::string()> status;                 // the content of `status`: JSON
  std::function<std::string()> policy;                 // the content of `policy`: rules
  std::function<Result<>(std::string_view)> load;      // takes what is written to `policy`; empty: read-only
  std::function<std::string()> refusals;               // the content of `refusals`: JSON lines
  std::vector<HashAlg> banks;                          // the suffixed lists to show
  bool world_readable = false;                         // else root only, as the kernel's
  std::chrono::milliseconds measure_deadline{30'000};  // a write to `measure` is answered in this time
  QuotaOptions quota{};                                // of users other than root, at `measure`
};

class Fs {
 public:
  // recorder: what `measure` records with; null: writing to it fails with EOPNOTSUPP.
  static Result<std::unique_ptr<Fs>> Mount(FsOptions options, ListSource& list, Recorder* recorder);
  ~Fs();                 // unmounts
  dev_t Device() const;  // of its files
  struct Impl;

 private:
  explicit Fs(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
