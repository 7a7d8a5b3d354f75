// The embedded software TPM: swtpm, started, adopted, watched and stopped. A software TPM proves nothing
// about hardware; the evidence says that it is software.
//
//   #include "tpm/tpm.h"
//   ASSAY_ASSIGN(SoftwareTpm swtpm, SoftwareTpm::Start({.state_dir = "/var/lib/assay/swtpm",
//                                                       .run_dir = "/run/assayd", .preload = {}}));
//   ASSAY_ASSIGN(std::unique_ptr<Tpm> tpm, Tpm::Connect(swtpm.tcti()));
//
// Contract: swtpm outlives a killed attester, so that PCRs and list stay together. Start() then adopts the
// running swtpm (its pid file is checked against /proc). Stop() ends only a process that Start() started or
// adopted. The CA's keys lie on the same machine, so its certificates prove no more than the TPM does.
// swtpm's output goes to run_dir/swtpm.log. The first Start() makes the state folder (mode 0700) and
// manufactures the TPM in it (swtpm_setup).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace assay::tpm {

struct SoftwareTpmOptions {
  std::string state_dir;  // permanent state
  std::string run_dir;    // sockets, pid file, log; short (a socket path has 107 bytes)
  std::string preload;    // LD_PRELOAD for swtpm (benchmarks add a chip's delay with it); empty: none
  // The folder of a certificate authority of this machine (swtpm_localca); it is made, with mode 0700, if it
  // is missing. A newly made TPM gets an EK certificate from it. The root is kCaRoot, the issuer kCaIssuer.
  // Empty: the TPM gets no certificate.
  std::string ca_dir = {};
  // When it is made: the banks of its PCRs, and further arguments of swtpm_setup.
  std::string banks = "sha1,sha256";
  std::vector<std::string> setup = {};
};

class SoftwareTpm {
 public:
  static constexpr const char* kCaRoot = "swtpm-localca-rootca-cert.pem";
  static constexpr const char* kCaIssuer = "issuercert.pem";
  static Result<SoftwareTpm> Start(const SoftwareTpmOptions& options);
  std::string tcti() const;
  pid_t pid() const { return pid_; }
  bool adopted() const { return adopted_; }
  // Its PCRs began empty, and TakenUp() has not been called since, not even by an earlier process that was
  // killed.
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
