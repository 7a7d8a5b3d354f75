#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/json.h"
#include "base/process.h"
#include "cli/attester.h"
#include "cli/commands.h"
#include "cli/errors.h"
#include "cli/watchdog.h"
#include "measure/record/kernel_ima.h"
#include "tpm/tpm.h"

namespace assay::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxStatus = 1 << 20;  // bytes of a status or of the output of a probe

struct Finding {
  std::string what;
  bool good = false;
  std::string text, code, remedy;
  json ToJson() const {
    json j{{"what", what}, {"good", good}, {"text", text}};
    if (!code.empty()) j["code"] = code;
    if (!remedy.empty()) j["remedy"] = remedy;
    return j;
  }
};

Finding Good(std::string what, std::string text) { return {std::move(what), true, std::move(text), "", ""}; }
Finding Bad(std::string what, std::string text, ErrorCode error) {
  return {std::move(what), false, std::move(text), std::string(error.name()), std::string(error.remedy())};
}
Finding Bad(std::string what, const Error& error) {
  return {std::move(what), false, error.Message(), error.code(), std::string(error.remedy())};
}

struct EngineFindings {
  std::vector<Finding> findings;
  std::string best = "none";  // the engine that the default setting "best" chooses or has chosen
};

// The findings from the status of a running attester. Nothing is loaded into the kernel for them.
Result<EngineFindings> OfRunning(const std::string& mount_point) {
  ASSAY_ASSIGN(const Bytes bytes, ReadFile(mount_point + "/status", kMaxStatus));
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(bytes), "status", kMaxStatus));
  ASSAY_ASSIGN(const JsonValue engine, doc.root().Object("engine"));
  EngineFindings found;
  ASSAY_ASSIGN(found.best, engine.Str("name"));
  ASSAY_ASSIGN(const std::string scope, engine.Str("scope"));
  ASSAY_ASSIGN(const std::string state, engine.Str("state"));
  found.findings.push_back({found.best + " engine", state == "ok",
                            fmt::format("assayd runs with it (scope {}): {}", scope, state), state, ""});
  return found;
}

Result<> AddProbed(const JsonValue& entry, EngineFindings& found) {
  Finding f;
  ASSAY_ASSIGN(const std::string name, entry.Str("engine"));
  f.what = name + " engine";
  ASSAY_ASSIGN(f.good, entry.Bool("works"));
  ASSAY_ASSIGN(f.text, entry.Str("text"));
  if (f.good && found.best == "none") found.best = name;
  if (!f.good) {
    ASSAY_ASSIGN(f.code, entry.Str("code"));
    ASSAY_ASSIGN(f.remedy, entry.Str("remedy"));
  }
  found.findings.push_back(std::move(f));
  return {};
}

// The engines that would start here. assayd tries them, because only assayd contains the engines.
Result<EngineFindings> OfProbe() {
  ASSAY_ASSIGN(const Output probe, RunProgram({AttesterProgram(), "--probe"}, "/"));
  if (probe.exit_code != 0)
    return Fail(StateError(DoctorError::kAssayd, "assayd --probe failed: " + probe.err));
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(probe.out, "probe", kMaxStatus));
  EngineFindings found;
  const auto add = [&found](const JsonValue& entry) { return AddProbed(entry, found); };
  ASSAY_TRY(doc.root().Each(add));
  return found;
}

EngineFindings OfEngines(const std::string& mount_point) {
  if (Result<EngineFindings> running = OfRunning(mount_point)) return std::move(*running);
  Result<EngineFindings> probed = OfProbe();
  if (probed) return std::move(*probed);
  return {{Bad("engines", probed.error().Message(), DoctorError::kAssayd)}, "none"};
}

Finding OfTpm(const std::string& tcti) {
  const std::string asked = !tcti.empty() ? tcti : "device:/dev/tpmrm0";
  if (tcti.empty() && access("/dev/tpmrm0", F_OK) != 0)
    return Bad("TPM", "there is no /dev/tpmrm0", DoctorError::kTpm);
  Result<std::unique_ptr<tpm::Tpm>> tpm = tpm::Tpm::Connect(asked);
  if (!tpm) return Bad("TPM", tpm.error());
  Result<tpm::TpmInfo> info = (*tpm)->Info();
  if (!info) return Bad("TPM", info.error());
  return Good("TPM", fmt::format("{} {}, firmware {}{}", info->manufacturer, info->vendor, info->firmware,
                                 info->software ? ", software" : ""));
}

bool InPath(const std::string& program) {
  for (const char* dir : {"/usr/bin/", "/usr/local/bin/", "/usr/sbin/"})
    if (access((dir + program).c_str(), X_OK) == 0) return true;
  return false;
}

// If the kernel measures by a policy, its list has more records than the boot_aggregate.
Finding OfKernelIma() {
  const std::uint64_t records = measure::KernelImaRecords();
  if (records == 0)
    return Good("kernel IMA", "the kernel's IMA has no list here, so PCR 10 is free for assayd");
  if (records == 1) return Good("kernel IMA", "the kernel's IMA has no policy, so PCR 10 is free for assayd");
  return Bad("kernel IMA", fmt::format("it measures into PCR 10 by a policy ({} records)", records),
             DoctorError::kKernelIma);
}

Result<int> Doctor(const std::string& mount_point, const std::string& tcti, const Session& session) {
  std::vector<Finding> findings;
  const bool root = geteuid() == 0;
  utsname kernel{};
  if (uname(&kernel) != 0) return Fail(OsError("uname", "", errno));
  if (!root) findings.push_back(Bad("user", "not root, so most checks are not possible", DoctorError::kRoot));
  EngineFindings engines = OfEngines(mount_point);
  const std::string best = engines.best;
  for (Finding& f : engines.findings) findings.push_back(std::move(f));
  const bool fuse = access("/dev/fuse", R_OK | W_OK) == 0;
  findings.push_back(fuse ? Good("/run/assay", "FUSE is available")
                          : Bad("/run/assay", "/dev/fuse can't be used", DoctorError::kFuse));
  const Finding tpm = OfTpm(tcti);
  findings.push_back(tpm);
  const bool swtpm = InPath("swtpm") && InPath("swtpm_setup");
  findings.push_back(swtpm ? Good("software TPM", "swtpm is installed")
                           : Bad("software TPM", "swtpm is not installed", DoctorError::kSwtpm));
  findings.push_back(OfKernelIma());
  const bool works = best != "none" && fuse && (tpm.good || swtpm);
  if (session.json) {
    json list = json::array();
    for (const Finding& f : findings) list.push_back(f.ToJson());
    session.Answer({{"kernel", kernel.release}, {"best_engine", best}, {"works", works}, {"findings", list}});
  } else {
    fmt::print("Linux {}\n", kernel.release);
    for (const Finding& f : findings) {
      const char* colour = !session.colour ? "" : f.good ? "\x1b[32m" : "\x1b[33m";
      fmt::print("  {}{}{} {:<16} {}\n", colour, f.good ? "ok     " : "missing",
                 session.colour ? "\x1b[0m" : "", f.what, f.text.substr(0, f.text.find('\n')));
      if (!f.remedy.empty()) fmt::print("{:27}-> {}\n", "", f.remedy);
    }
    fmt::print("The engine would be {}.\n", best == "none" ? "none: nothing could be measured" : best);
    fmt::print("{}\n", works ? "assayd works here." : "assayd does not work here as it is.");
  }
  return works ? kExitOk : root ? kExitNotTrusted : kExitUnknown;
}

}  // namespace

void AddDoctor(Command app, Session& session) {
  auto tcti = std::make_shared<std::string>();
  Command doctor = app.AddCommand(
      "doctor",
      "Show whether assayd works on this machine and what is missing (0 it works, 1 it does not, 2 unknown)");
  doctor.AddOption("--tcti", *tcti, "The TPM to test, in the form of tpm/tcti (default: /dev/tpmrm0)");
  auto mount_point = std::make_shared<std::string>("/run/assay");
  doctor.AddOption("--mount-point", *mount_point, "Mount point of the file system of a running assayd")
      .ShowDefault();
  AddTimeout(doctor, session);
  doctor.OnRun([mount_point, tcti, &session] {
    const Watchdog watchdog(session);
    session.Finish(Doctor(*mount_point, *tcti, session));
  });
}

}  // namespace assay::cli
