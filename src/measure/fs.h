// /run/assay: a small FUSE file system with the names and formats of the kernel's securityfs/ima, and what we
// add.
//
//   ASSAY_ASSIGN(std::unique_ptr<Fs> fs, Fs::Mount({.mount_point = "/run/assay"}, recorder));
//
//   ascii_runtime_measurements[_ALG], binary_runtime_measurements[_ALG], runtime_measurements_count,
//   violations, policy, status (JSON), measure (write "path\n" or "fd:N\n": returns when the content is
//   recorded)
//
// Contract: the unsuffixed lists have SHA-1 columns, as the kernel's; a suffixed one has its bank's, and
// exists for each active bank. A reader sees whole records; poll() reports growth. The writer's descriptor is
// opened through /proc/PID/fd of the caller. A dead server makes reads fail, it never blocks them.
// docs/formats/runassay.md
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "measure/recorder.h"

namespace assay::measure {

struct FsOptions {
  std::string mount_point;              // made if it isn't there
  std::function<std::string()> status;  // the content of `status`: JSON
  std::string policy;                   // the content of `policy`
  std::vector<HashAlg> banks;           // the suffixed lists to show
  bool world_readable = false;          // else root only, as the kernel's
};

class Fs {
 public:
  static Result<std::unique_ptr<Fs>> Mount(FsOptions options, Recorder& recorder);
  ~Fs();  // unmounts

 private:
  struct Impl;
  explicit Fs(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
