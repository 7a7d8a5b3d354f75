// One archive with what a report of a bug needs. man/assay-support-bundle.1
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/fd.h"
#include "base/folder.h"
#include "base/json_dump.h"
#include "base/process.h"
#include "cli/attester.h"
#include "cli/scrub.h"
#include "cli/service_commands.h"

namespace assay::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxFile = std::size_t{16} << 20, kMaxSecret = 64 << 10, kMaxLog = std::size_t{2} << 20;

struct BundleOptions {
  std::string out, config = "/etc/assay/assayd.json", mount_point = "/run/assay";
};
struct Part {
  std::string name, text;
};

std::string FileText(const std::string& path) {
  const Result<Bytes> bytes = ReadFile(path, kMaxFile);
  return bytes ? std::string(AsText(*bytes)) : bytes.error().Message() + "\n";
}

// What a program says, or why it says nothing. No program may hold up the bundle.
std::string Said(const std::vector<std::string>& program) {
  std::vector<std::string> argv{"timeout", "30"};
  argv.insert(argv.end(), program.begin(), program.end());
  const Result<Output> said = RunProgram(argv, "/");
  if (!said) return said.error().Message() + "\n";
  if (said->out.empty()) return fmt::format("{}(exit code {})\n", said->err, said->exit_code);
  constexpr bool kThrow = false;
  const json document = json::parse(said->out, nullptr, kThrow);
  // A document stays one, and gets lines that are short.
  return document.is_discarded() ? said->out + said->err : DumpJson(document, 1) + "\n";
}

// The configuration and its drop-ins, as assayd.json(5) names them.
std::vector<std::string> ConfigFiles(const std::string& path) {
  std::vector<std::string> files;
  const std::string folder = (path.ends_with(".json") ? path.substr(0, path.size() - 5) : path) + ".d";
  if (const Result<std::vector<std::string>> names = NamesIn(folder); names)
    for (const std::string& name : *names) files.push_back(folder + "/" + name);
  std::sort(files.begin(), files.end());
  files.insert(files.begin(), path);
  return files;
}

// The lines of the keys and passwords that the configuration names: they must not be in the archive, wherever
// they come from. The last member of this name in the files counts.
void AddSecretsOf(const json& value, const std::string& name, std::vector<std::string>& secrets,
                  std::string& log) {
  if (value.is_object())
    for (const auto& [key, member] : value.items()) AddSecretsOf(member, key, secrets, log);
  if (!value.is_string()) return;
  if (name == "file") log = value.get<std::string>();
  if (name != "key" && !name.ends_with("_password_file")) return;
  const Result<Bytes> bytes = ReadFile(value.get<std::string>(), kMaxSecret);
  if (!bytes) return;
  EachLine(AsText(*bytes), [&](std::string_view line) {
    if (!line.starts_with("-----")) secrets.emplace_back(line);
  });
}

std::vector<Part> Collect(const BundleOptions& o, const std::vector<std::string>& files,
                          const std::string& log, Scrubber& scrubber) {
  std::error_code no_error;
  const std::string own = std::filesystem::read_symlink("/proc/self/exe", no_error);
  std::vector<Part> parts;
  const auto add = [&](const std::string& name, const std::string& text) {
    parts.push_back({name, scrubber.Text(text)});
  };
  add("versions.txt", Said({own, "--version"}) + Said({AttesterProgram(), "--version"}) +
                          Said({"uname", "-a"}) + FileText("/etc/os-release") +
                          FileText("/sys/kernel/security/lsm") + "\n" +
                          Said({"dpkg-query", "-W", "assay*", "libassay*", "libtss2*", "swtpm*", "systemd",
                                "initramfs-tools"}));
  add("status.json", Said({own, "--json", "status", "--timeout", "20", "--mount-point", o.mount_point}));
  add("metrics.txt", Said({"cat", o.mount_point + "/metrics"}));
  add("doctor.json", Said({own, "--json", "doctor", "--timeout", "20", "--mount-point", o.mount_point}));
  add("config-check.json", Said({own, "--json", "config", "check", o.config}));
  add("service.txt", Said({"systemctl", "--no-pager", "--full", "status", "assayd.service"}));
  add("journal.txt",
      Said({"journalctl", "--no-pager", "--boot", "--unit", "assayd.service", "--lines", "10000"}));
  if (!log.empty()) {
    const std::string text = FileText(log);
    add("log.txt", text.substr(text.size() - std::min(text.size(), kMaxLog)));
  }
  for (const std::string& file : files) {
    const Result<Bytes> bytes = ReadFile(file, kMaxFile);
    std::string text = bytes ? scrubber.Configuration(AsText(*bytes)) : "";
    if (text.empty()) text = "it can't be read, or is not JSON: config-check.json says more\n";
    parts.push_back({"configuration/" + std::filesystem::path(file).filename().string(), std::move(text)});
  }
  return parts;
}

Result<> WriteArchive(const std::string& path, const std::string& folder, const std::vector<Part>& parts) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return Fail(OsError("open", path, errno));
  const std::unique_ptr<archive, int (*)(archive*)> a(archive_write_new(), archive_write_free);
  const auto bad = [&] {
    const char* text = archive_error_string(a.get());
    return Fail(LibError("libarchive", path + ": " + (text != nullptr ? text : "unknown error")));
  };
  if (archive_write_add_filter_gzip(a.get()) != ARCHIVE_OK ||
      archive_write_set_format_pax_restricted(a.get()) != ARCHIVE_OK ||
      archive_write_open_fd(a.get(), fd.get()) != ARCHIVE_OK)
    return bad();
  for (const Part& part : parts) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    archive_entry_set_pathname(entry.get(), (folder + "/" + part.name).c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(part.text.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0600);
    archive_entry_set_mtime(entry.get(), static_cast<time_t>(NowMs() / 1000), 0);
    if (archive_write_header(a.get(), entry.get()) != ARCHIVE_OK ||
        archive_write_data(a.get(), part.text.data(), part.text.size()) !=
            static_cast<la_ssize_t>(part.text.size()))
      return bad();
  }
  return archive_write_close(a.get()) == ARCHIVE_OK ? Result<>() : bad();
}

Result<int> Bundle(const BundleOptions& o, const Session& session) {
  const std::vector<std::string> files = ConfigFiles(o.config);
  std::vector<std::string> secrets;
  std::string log;
  for (const std::string& file : files) {
    constexpr bool kThrow = false, kComments = true;
    const json config = json::parse(FileText(file), nullptr, kThrow, kComments);
    AddSecretsOf(config, "", secrets, log);
  }
  Scrubber scrubber(std::move(secrets));
  std::vector<Part> parts = Collect(o, files, log, scrubber);
  const std::string stamp = DateText(NowMs());
  const std::string folder = "assay-support-" + stamp;
  parts.push_back(
      {"README.txt",
       fmt::format("Made by assay {} at {}.\nIt has what stands beside this file, and neither keys, "
                   "passwords, measurement lists nor evidence.\nParts of {} lines and values were "
                   "withheld, because they are secrets or look like one. Paths, names of programs,\n"
                   "addresses and user numbers are in it: read it before you pass it on.\n",
                   ASSAY_VERSION, TimeText(NowMs()), scrubber.withheld())});
  const std::string out = o.out.empty() ? folder + ".tar.gz" : o.out;
  ASSAY_TRY(WriteArchive(out, folder, parts));
  json names = json::array();
  for (const Part& part : parts) names.push_back(part.name);
  if (session.json)
    session.Answer({{"written", out}, {"files", names}, {"withheld", scrubber.withheld()}});
  else
    fmt::print("{}: {} files; {} lines and values were withheld. Read it before you pass it on.{}\n", out,
               parts.size(), scrubber.withheld(),
               geteuid() == 0 ? "" : " Root's has more: sudo assay support-bundle");
  return kExitOk;
}

}  // namespace

void AddSupportBundle(Command app, Session& session) {
  auto o = std::make_shared<BundleOptions>();
  Command bundle = app.AddCommand("support-bundle",
                                  "Write one archive with what a report of a bug needs, without secrets");
  bundle.AddOption("--out", o->out, "The archive (default: assay-support-DATE.tar.gz)");
  bundle.AddOption("--config", o->config, "The configuration of assayd").ShowDefault();
  bundle.AddOption("--mount-point", o->mount_point, "Mount point of assayd's file system").ShowDefault();
  bundle.OnRun([o, &session] { session.Finish(Bundle(*o, session)); });
}

}  // namespace assay::cli
