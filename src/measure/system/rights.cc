#include "measure/system/rights.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include <charconv>
#include <string>

#include "base/fd.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxProcFile = std::size_t{1} << 20;

bool InOurUserNamespace(const std::string& process) {
  struct stat ours{}, theirs{};
  return stat("/proc/self/ns/user", &ours) == 0 && stat((process + "/ns/user").c_str(), &theirs) == 0 &&
         ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

std::uint64_t EffectiveCapabilities(const std::string& process) {
  constexpr std::string_view kLabel = "\nCapEff:\t";
  const Result<Bytes> status = ReadFile(process + "/status", kMaxProcFile);
  if (!status) return 0;
  const std::string_view text = AsText(*status);
  const std::size_t at = text.find(kLabel);
  if (at == std::string_view::npos) return 0;
  std::uint64_t capabilities = 0;
  std::from_chars(text.data() + at + kLabel.size(), text.data() + text.size(), capabilities, 16);
  return capabilities;
}

}  // namespace

bool Governs(pid_t tid) {
  constexpr std::uint64_t kEnough = std::uint64_t{1} << CAP_MAC_ADMIN | std::uint64_t{1} << CAP_SYS_ADMIN;
  if (tid <= 0) return false;  // the caller is in a PID namespace that is not visible here
  const std::string process = "/proc/" + std::to_string(tid);
  return (EffectiveCapabilities(process) & kEnough) != 0 && InOurUserNamespace(process);
}

}  // namespace assay::measure
