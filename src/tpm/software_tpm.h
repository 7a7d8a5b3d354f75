// The embedded software TPM: swtpm, started, adopted, watched and stopped. A software TPM proves nothing
// about hardware; the evidence says that it is software.
//
//   ASSAY_ASSIGN(SoftwareTpm swtpm, SoftwareTpm::Start({.state_dir = "/var/lib/assay/swtpm", .run_dir =
//   "/run/assayd"})); Tpm::Connect(swtpm.tcti());
//
// Contract: swtpm outlives a killed attester, so that PCRs and list stay together; Start() then adopts the
// one that runs (its pid file is checked against /proc). Stop() ends only what Start() started or adopted.
// The CA's keys lie on the same machine, so its certificates prove no more than the TPM does. Its output goes
// to run_dir/swtpm.log. The state folder is made with manufacturing (swtpm_setup) at the first start, mode
// 0700.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace assay::tpm {

struct SoftwareTpmOptions {
  std::string state_dir;  // permanent state
  std::string run_dir;    // sockets, pid file, log; short (a socket path has 107 bytes)
  std::string preload;    // LD_PRELOAD for swtpm (benchmarks add a chip's delay with it); empty: none
  // Folder of a CA of this machine's own (swtpm_localca), made if it is not there, mode 0700: a TPM that is
  // made gets an EK certificate by it. Its root is kCaRoot, its issuer kCaIssuer. Empty: no certificate.
  std::string ca_dir = {};
};

class SoftwareTpm {
 public:
  static constexpr const char* kCaRoot = "swtpm-localca-rootca-cert.pem";
  static constexpr const char* kCaIssuer = "issuercert.pem";
  static Result<SoftwareTpm> Start(const SoftwareTpmOptions& options);
  std::string tcti() const;
  pid_t pid() const { return pid_; }
  bool adopted() const { return adopted_; }
  // Its PCRs began empty and nobody has said TakenUp() since, also if whoever started it was killed.
  bool fresh() const { return fresh_; }
  Result<> TakenUp();
  bool Alive() const;
  Result<> Stop();

 private:
  SoftwareTpmOptions options_;
  pid_t pid_ = -1;
  bool adopted_ = false;
  bool fresh_ = false;
};

}  // namespace assay::tpm
