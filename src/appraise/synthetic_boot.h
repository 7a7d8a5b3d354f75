// Internal, for tests and fuzz targets: the boot of a UKI, whose parts a test can change by parameters.
//
//   #include "appraise/synthetic.h"
//   // given: evidence::Evidence& evidence
//   const MeasuredBoot boot = MeasureBoot({.command_line = "quiet"});
//   SyntheticHost host(boot.pcrs);
//   evidence.event_log = boot.log;
//
// Contract: log, PCR values (0 to 9 and 11 to 14 of SHA-256) and expected boot are consistent.
#pragma once

#include <map>
#include <string>

#include "boot/expected.h"
#include "boot/log_builder.h"
#include "boot/replay.h"

namespace assay::appraise {

struct UkiBoot {
  bool secure_boot = true;
  std::string firmware = "v1", order = "0001", keys = "db", command_line = "root=/dev/vda", kernel = "kernel",
              initrd = "initrd", system = "os", shim = "shim";
  std::string loader{}, addon{};  // measured into PCR 8 and 12 unless empty
  std::string cmdline_label{};    // GRUB's event of the command line; none if empty
  bool exit_logged = true;        // else the log leaves ExitBootServices out
};
struct MeasuredBoot {
  Bytes log;
  std::map<std::uint32_t, Digest> pcrs;
  boot::ExpectedBoot expected;
};

inline MeasuredBoot MeasureBoot(const UkiBoot& b = {}) {
  using namespace boot;
  LogBuilder log({HashAlg::kSha256});
  log.Add(0, kSCrtmVersion, Utf16(b.firmware));
  log.Add(7, kEfiVariableDriverConfig,
          VariableData(kGlobalGuid, "SecureBoot", {static_cast<std::uint8_t>(b.secure_boot)}));
  log.Add(7, kEfiVariableDriverConfig, VariableData(kDatabaseGuid, "db", BytesOf(b.keys)));
  log.Separators({7})
      .Add(1, kEfiVariableBoot, VariableData(kGlobalGuid, "BootOrder", BytesOf(b.order)))
      .ReadyToBoot();
  log.Add(5, kEfiGptEvent, BytesOf("partitions of " + b.system));
  log.Add(4, kEfiBootServicesApplication, {}, BytesOf(b.kernel + b.initrd + b.command_line));
  log.Add(14, kIpl, BytesOf("MokList"), BytesOf(b.shim));
  if (!b.loader.empty()) log.Add(8, kIpl, BytesOf("grub_cmd: " + b.loader), BytesOf(b.loader));
  if (!b.cmdline_label.empty()) log.Add(8, kIpl, BytesOf(b.cmdline_label), BytesOf(b.cmdline_label));
  const std::pair<const char*, const std::string&> sections[] = {
      {".linux", b.kernel}, {".osrel", b.system}, {".cmdline", b.command_line}, {".initrd", b.initrd}};
  for (const auto& [name, content] : sections) {
    log.Add(11, kIpl, Utf16(name), BytesOf(std::string(name) + '\0'));
    log.Add(11, kIpl, Utf16(name), BytesOf(content));
  }
  if (!b.addon.empty()) log.Add(12, kIpl, Utf16(b.addon));
  if (b.exit_logged) log.Exit();
  MeasuredBoot out;
  out.log = log.bytes();
  const EventLog parsed = *ParseEventLog(out.log);
  const Replayed replayed = Replay(parsed);
  for (const std::uint32_t pcr : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14})
    out.pcrs[pcr] = *replayed.Value(HashAlg::kSha256, pcr);
  out.expected = Learn(Examine(parsed, HashAlg::kSha256));
  return out;
}

}  // namespace assay::appraise
