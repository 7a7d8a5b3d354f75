// Internal: the table of configuration that acts as code, one row for each program.
//
//   for (const table::ReaderRow& row : table::kReaders) log::Info("{}: {}", row.names, row.files);
//
// Contract: words of a list are separated by blanks. Names are globs over the last part of a program's path,
// files are globs over a whole path. Sources: sshd(8) FILES, sudo(8), cron(8), anacron(8), systemd.unit(5)
// "Unit File Load Path", systemd.generator(7), pam(8), udev(7), modprobe.d(5), apt.conf(5), logrotate(8).
#pragma once

#include <string_view>

#include "measure/policy/configuration.h"

namespace assay::measure::table {

struct ReaderRow {
  Reader id;
  std::string_view names;  // of programs
  std::string_view files;
  bool pam = false;  // it uses libpam, so that it reads kPamFiles too
};

inline constexpr std::string_view kPamFiles =
    "/etc/pam.conf /etc/pam.d/** /usr/lib/pam.d/** /usr/share/pam.d/** /etc/security/*.conf "
    "/etc/security/**/*.conf /etc/environment";

inline constexpr ReaderRow kReaders[] = {
    {.id = Reader::kSshd,
     .names = "sshd sshd-session sshd-auth",
     .files = "/etc/ssh/sshd_config /etc/ssh/sshd_config.d/** /usr/etc/ssh/sshd_config "
              "/usr/etc/ssh/sshd_config.d/** /etc/ssh/authorized_keys /etc/ssh/authorized_keys/** "
              "/etc/ssh/authorized_principals /etc/ssh/authorized_principals/** "
              "**/.ssh/authorized_keys **/.ssh/authorized_keys2 **/.ssh/environment",
     .pam = true},
    {.id = Reader::kSudo,
     .names = "sudo sudo-rs sudo.ws",
     .files = "/etc/sudoers /etc/sudoers-rs /etc/sudoers.d/** /etc/sudo.conf",
     .pam = true},
    {.id = Reader::kCron,
     .names = "cron crond anacron atd",
     .files = "/etc/crontab /etc/anacrontab /etc/cron.d/** /var/spool/cron/**",
     .pam = true},
    // What the manager wrote itself, /run/systemd/transient, is left out: it has other content in each
    // session.
    {.id = Reader::kSystemd,
     .names = "systemd systemd-executor",
     .files = "/etc/systemd/** /usr/lib/systemd/** /lib/systemd/** /usr/local/lib/systemd/** "
              "/usr/share/systemd/** /usr/local/share/systemd/** /etc/xdg/systemd/** /run/systemd/system/** "
              "/run/systemd/user/** /run/systemd/*.control/** /run/systemd/generator/** "
              "/run/systemd/generator.*/** /run/user/*/systemd/** **/.config/systemd/** "
              "**/.local/share/systemd/**",
     .pam = true},
    {.id = Reader::kGenerator,
     .names = "*-generator",
     .files = "/etc/fstab /etc/crypttab /etc/veritytab /etc/integritytab /etc/init.d/** /etc/rc.local "
              "/etc/systemd/** /usr/lib/systemd/** /lib/systemd/**"},
    {.id = Reader::kPam,
     .names = "login su runuser passwd chpasswd newusers chfn chsh polkit-agent-helper-1 gdm* lightdm sddm* "
              "vlock smbd vsftpd proftpd auth saslauthd cupsd pppd",
     .files = "",
     .pam = true},
    {.id = Reader::kUdev,
     .names = "systemd-udevd udevd udevadm",
     .files = "/etc/udev/rules.d/** /usr/lib/udev/rules.d/** /lib/udev/rules.d/** "
              "/usr/local/lib/udev/rules.d/** /run/udev/rules.d/** /etc/udev/udev.conf"},
    {.id = Reader::kModprobe,
     .names = "kmod modprobe",
     .files = "/etc/modprobe.d/** /usr/lib/modprobe.d/** /lib/modprobe.d/** /usr/local/lib/modprobe.d/** "
              "/run/modprobe.d/**"},
    {.id = Reader::kApt,
     .names = "apt apt-get aptitude apt-config dpkg",
     .files = "/etc/apt/apt.conf /etc/apt/apt.conf.d/** /etc/dpkg/dpkg.cfg /etc/dpkg/dpkg.cfg.d/**"},
    {.id = Reader::kLogrotate, .names = "logrotate", .files = "/etc/logrotate.conf /etc/logrotate.d/**"},
};

// Where packages have the defaults of files that an owner copies, to alter them.
struct DefaultRow {
  std::string_view folder, defaults;
};
inline constexpr DefaultRow kDefaults[] = {
    {"/etc/ssh/", "/usr/share/openssh/"},  // ucf
    {"/etc/systemd/", "/usr/lib/systemd/"},       {"/etc/udev/", "/usr/lib/udev/"},
    {"/etc/modprobe.d/", "/usr/lib/modprobe.d/"}, {"/etc/pam.d/", "/usr/lib/pam.d/"},
};

}  // namespace assay::measure::table
