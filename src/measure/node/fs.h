// /run/assay: a small FUSE file system with the names and formats of the kernel's securityfs/ima, and some
// files of our own.
//
//   // given: FsOptions options, Recorder& recorder
//   ASSAY_ASSIGN(std::unique_ptr<Fs> fs, Fs::Mount(std::move(options), recorder, &recorder));
//
// Its files are ascii_runtime_measurements[_ALG], binary_runtime_measurements[_ALG],
// runtime_measurements_count, violations, policy (write rules, or a path), refusals (JSON lines), status
// (JSON), metrics (for Prometheus) and measure (write "path\n", "fd:N\n" or "buffer:N:WHAT\n": the write
// returns when the content is recorded; read: what the attester says of it; "hook:NAME\n" announces a hook).
//
// Contract: the unsuffixed lists have SHA-1 columns, as the kernel's; a suffixed one has its bank's, and
// exists for each active bank. A list always ends with a whole record; poll() reports growth. A caller can
// have a file measured that it has open for reading; root can also name a path. Reads fail when the server
// has died, and never block. The next start removes a mount that a dead server left. docs/formats/runassay.md
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "measure/node/measure_quota.h"
#include "measure/node/node_judge.h"
#include "measure/record/recorder.h"

namespace assay::measure {

struct FsOptions {
  std::string mount_point;               // it is made if it is missing
  std::function<std::string()> status;   // the content of `status`: JSON
  std::function<std::string()> metrics;  // the content of `metrics`: text for Prometheus
  std::function<std::string()> policy;   // the content of `policy`: rules
  // Gets what is written to `policy`; empty: the file is read-only.
  std::function<Result<>(std::string_view)> load;
  std::function<std::string()> refusals;  // the content of `refusals`: JSON lines
  std::vector<HashAlg> banks;             // the suffixed lists to show
  bool world_readable = false;            // false: only root can read, as with the kernel's files
  std::chrono::milliseconds measure_deadline{30'000};  // the time in which a write to `measure` is answered
  QuotaOptions quota{};                                // for users other than root, at `measure`
  NodeJudge judge{};  // for those that open `measure` for reading, too; empty: nothing is judged
  std::function<void(pid_t process, const std::string& hook)> announced{};  // of "hook:NAME" at `measure`
};

class Fs {
 public:
  // recorder: records what is measured through `measure`; null: a write to `measure` fails with EOPNOTSUPP.
  static Result<std::unique_ptr<Fs>> Mount(FsOptions options, ListSource& list, Recorder* recorder);
  ~Fs();                 // unmounts
  dev_t Device() const;  // of its files
  struct Impl;

 private:
  explicit Fs(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::measure
