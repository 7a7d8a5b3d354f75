// Configuration that acts as code: which programs read which files by which they run commands or let somebody
// in, as sshd its sshd_config and cron a crontab.
//
//   const Reader reader = ReaderNamed("/usr/sbin/sshd");
//   if (IsConfigurationOf(reader, "/etc/ssh/sshd_config")) log::Info("sshd acts by it");
//
// Contract: a program is recognised by the last part of its name, in any folder; a file by its whole path.
// The BPF programs keep the numbers of the enum, so that a number is never reused for another program.
// docs/formats/measure-policy.md, "Configuration"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace assay::measure {

enum class Reader : std::uint32_t {
  kNone = 0,
  kSshd = 1,
  kSudo = 2,
  kCron = 3,
  kSystemd = 4,
  kGenerator = 5,  // of units
  kPam = 6,        // a program that uses libpam and reads nothing else of the table
  kUdev = 7,
  kModprobe = 8,
  kApt = 9,
  kLogrotate = 10,
};

// By the last part of the program's name; kNone for others.
Reader ReaderNamed(std::string_view path);
bool IsConfigurationOf(Reader reader, std::string_view path);
bool IsConfiguration(std::string_view path);  // of any of them

// The name in the list of a file that was read as configuration. No file's name begins like this, so the
// record proves that no interpreter read it as code.
inline constexpr std::string_view kConfigurationPrefix = "configuration:";
std::string ConfigurationName(std::string_view path);
// The path in such a name; empty for another name.
std::string_view ConfigurationPath(std::string_view name);

// Where a package may have the default of a file: "/etc/systemd/system/x.service" is copied from
// "/usr/lib/systemd/system/x.service" to be altered. Empty: only at the same path.
std::string DefaultPlaceOf(std::string_view path);

}  // namespace assay::measure
