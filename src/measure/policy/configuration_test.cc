// Which programs read which files as configuration, and what a policy makes of it.
#include "measure/policy/configuration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "measure/policy/configuration_table.h"
#include "measure/policy/interpreters.h"
#include "measure/policy/policy.h"

namespace assay::measure {
namespace {

TEST(Configuration, ProgramsAreKnownByName) {
  EXPECT_EQ(ReaderNamed("/usr/sbin/sshd"), Reader::kSshd);
  EXPECT_EQ(ReaderNamed("/usr/lib/openssh/sshd-session"), Reader::kSshd);
  EXPECT_EQ(ReaderNamed("/usr/bin/sudo.distrib"), Reader::kSudo);  // as dpkg-divert names it
  EXPECT_EQ(ReaderNamed("/usr/lib/systemd/systemd"), Reader::kSystemd);
  EXPECT_EQ(ReaderNamed("/usr/lib/systemd/system-generators/systemd-fstab-generator"), Reader::kGenerator);
  EXPECT_EQ(ReaderNamed("/usr/bin/su"), Reader::kPam);
  EXPECT_EQ(ReaderNamed("/usr/bin/ssh"), Reader::kNone);
  EXPECT_EQ(ReaderNamed("/usr/bin/cat"), Reader::kNone);
  EXPECT_EQ(ReaderNamed(""), Reader::kNone);
}

TEST(Configuration, EachProgramHasItsFiles) {
  struct Row {
    Reader reader;
    const char* path;
    bool is;
  };
  for (const Row& row : {
           Row{Reader::kSshd, "/etc/ssh/sshd_config", true},
           {Reader::kSshd, "/etc/ssh/sshd_config.d/10-site.conf", true},
           {Reader::kSshd, "/home/anna/.ssh/authorized_keys", true},
           {Reader::kSshd, "/root/.ssh/authorized_keys", true},
           {Reader::kSshd, "/etc/pam.d/sshd", true},
           {Reader::kSshd, "/etc/ssh/moduli", false},
           {Reader::kSshd, "/etc/sudoers", false},
           {Reader::kSudo, "/etc/sudoers", true},
           {Reader::kSudo, "/etc/sudoers.d/site", true},
           {Reader::kSudo, "/etc/pam.d/common-auth", true},
           {Reader::kSudo, "/etc/passwd", false},
           {Reader::kCron, "/etc/crontab", true},
           {Reader::kCron, "/etc/cron.d/e2scrub_all", true},
           {Reader::kCron, "/var/spool/cron/crontabs/anna", true},
           {Reader::kCron, "/var/spool/cron/atjobs/a0001", true},
           {Reader::kSystemd, "/etc/systemd/system/web.service", true},
           {Reader::kSystemd, "/usr/lib/systemd/system/ssh.service.d/10.conf", true},
           {Reader::kSystemd, "/run/systemd/generator.late/x.service", true},
           {Reader::kSystemd, "/run/systemd/system.control/x.service.d/50.conf", true},
           {Reader::kSystemd, "/run/systemd/transient/session-1.scope", false},
           {Reader::kSystemd, "/etc/hostname", false},
           {Reader::kGenerator, "/etc/fstab", true},
           {Reader::kGenerator, "/etc/pam.d/su", false},
           {Reader::kPam, "/etc/pam.d/su", true},
           {Reader::kPam, "/etc/security/namespace.d/x.conf", true},
           {Reader::kPam, "/etc/crontab", false},
           {Reader::kUdev, "/etc/udev/rules.d/99.rules", true},
           {Reader::kModprobe, "/etc/modprobe.d/x.conf", true},
           {Reader::kApt, "/etc/apt/apt.conf.d/70assay", true},
           {Reader::kLogrotate, "/etc/logrotate.d/apt", true},
           {Reader::kNone, "/etc/sudoers", false},
       }) {
    EXPECT_EQ(IsConfigurationOf(row.reader, row.path), row.is) << row.path;
    EXPECT_TRUE(!row.is || IsConfiguration(row.path)) << row.path;
  }
  for (const char* none : {"", "sudoers", "/usr/bin/ls", "/etc/passwd", "/tmp/etc/sudoers"})
    EXPECT_FALSE(IsConfiguration(none)) << none;
}

TEST(Configuration, NamesInTheList) {
  const std::string name = ConfigurationName("/etc/sudoers");
  EXPECT_EQ(name, "configuration:/etc/sudoers");
  EXPECT_EQ(ConfigurationPath(name), "/etc/sudoers");
  for (const char* none : {"", "/etc/sudoers", "/configuration:/etc/sudoers", "measure:0:/etc/sudoers"})
    EXPECT_EQ(ConfigurationPath(none), "") << none;
}

TEST(Configuration, ADefaultMayLieElsewhere) {
  EXPECT_EQ(DefaultPlaceOf("/etc/ssh/sshd_config"), "/usr/share/openssh/sshd_config");
  EXPECT_EQ(DefaultPlaceOf("/etc/systemd/system/x.service"), "/usr/lib/systemd/system/x.service");
  EXPECT_EQ(DefaultPlaceOf("/etc/sudoers"), "");
}

// A program is one or the other: the kernel's side stores one number of it.
TEST(Configuration, NoReaderIsAnInterpreter) {
  std::set<Reader> ids;
  for (const table::ReaderRow& row : table::kReaders) {
    EXPECT_TRUE(ids.insert(row.id).second);
    std::string_view rest = row.names;
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      EXPECT_EQ(InterpreterNamed(name), Interpreter::kNone) << name;
    }
  }
}

TEST(Configuration, APolicyAsksForIt) {
  const Result<Policy> policy = Policy::Parse(*Policy::BuiltIn("configuration"));
  ASSERT_TRUE(policy);
  EXPECT_TRUE(policy->AsksInterpretersOnly());
  EXPECT_EQ(policy->needs(), kNeedConfiguration);
  EXPECT_TRUE(policy->Rule(Func::kFileCheck, kMayRead, {.configuration = true}).measure);
  EXPECT_FALSE(policy->Rule(Func::kFileCheck, kMayRead, {.configuration = false}).measure);
  EXPECT_TRUE(policy->Rule(Func::kFileCheck, kMayRead, {}).measure);
  EXPECT_FALSE(policy->Rule(Func::kBprmCheck, kMayExec, {.configuration = true}).any());
  const auto both = FindPolicy("default|configuration");
  ASSERT_TRUE(both);
  EXPECT_TRUE((*both)->AtLeast(*Policy::Parse(*Policy::BuiltIn("default"))));
  EXPECT_TRUE((*both)->AsksInterpretersOnly());
  EXPECT_FALSE(Policy::Parse("measure func=FILE_CHECK configuration=no\n")->AsksInterpretersOnly());
}

}  // namespace
}  // namespace assay::measure
