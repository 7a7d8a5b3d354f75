// Fetches package files with apt as it is configured on this machine. apt's signed lists name the SHA-256 of
// each file. apt itself does not check the content of a file that already exists with the right size, so it
// is checked here.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <map>
#include <thread>

#include "base/folder.h"
#include "base/mapped.h"
#include "base/mutex.h"
#include "base/name_table.h"
#include "base/process.h"
#include "base/thread.h"
#include "reference/index.h"
#include "reference/package_file.h"

namespace assay::reference {
namespace {

constexpr std::size_t kShowBatch = 200;
constexpr std::size_t kFetchBatch = 16;
constexpr unsigned kFetchers = 2;  // apt-get starts slowly but fetches fast

std::string ReplaceAll(std::string s, std::string_view from, std::string_view to) {
  for (std::size_t at = s.find(from); at != std::string::npos; at = s.find(from, at + to.size()))
    s.replace(at, from.size(), to);
  return s;
}

// The name that apt gives to a downloaded file.
std::string FileName(const Installed& p) {
  return p.package + "_" + ReplaceAll(p.version, ":", "%3a") + "_" + p.architecture + ".deb";
}

std::string AptName(const Installed& p) {
  return p.package + (p.architecture == "all" ? "" : ":" + p.architecture) + "=" + p.version;
}

struct Wanted {
  Installed package;
  std::string sha256;  // in hex, from apt's lists
};

// The SHA-256 of these packages in the archive's lists. A package that is only installed has none.
Result<std::map<std::string, std::string>> ArchiveDigests(const std::vector<Installed>& packages) {
  std::map<std::string, std::string> digests;  // by FileName
  for (std::size_t i = 0; i < packages.size(); i += kShowBatch) {
    std::vector<std::string> argv{"apt-cache", "show"};
    for (std::size_t j = i; j < std::min(packages.size(), i + kShowBatch); ++j)
      argv.push_back(AptName(packages[j]));
    // The exit code tells only whether all were found, so the output is used.
    ASSAY_ASSIGN(const Output o, RunProgram(argv, "/"));
    Installed p;
    std::string sha256;
    auto end_of_paragraph = [&] {
      if (!p.package.empty() && !sha256.empty()) digests[FileName(p)] = sha256;
      p = {};
      sha256.clear();
    };
    EachLine(o.out, [&](std::string_view line) {
      auto value = [&](std::string_view field, std::string& out) {
        if (line.starts_with(field)) out = line.substr(field.size());
      };
      value("Package: ", p.package);
      value("Version: ", p.version);
      value("Architecture: ", p.architecture);
      value("SHA256: ", sha256);
      if (line.empty()) end_of_paragraph();
    });
    end_of_paragraph();
  }
  return digests;
}

// The newest version of each package that the archive has, and what that says of the missing one.
Result<> FindAvailable(std::vector<MissingPackage>& missing) {
  if (missing.empty()) return {};
  std::vector<std::string> argv{"apt-cache", "madison"};
  for (const MissingPackage& m : missing) argv.push_back(m.installed.package);
  ASSAY_ASSIGN(const Output o, RunProgram(argv, "/"));
  std::map<std::string, std::string> newest;  // the first line for each package is the newest
  EachLine(o.out, [&](std::string_view line) {
    std::string text = ReplaceAll(std::string(line), " ", "");
    const std::size_t first = text.find('|');
    const std::size_t second = first == std::string::npos ? first : text.find('|', first + 1);
    if (second != std::string::npos)
      newest.try_emplace(text.substr(0, first), text.substr(first + 1, second - first - 1));
  });
  for (MissingPackage& m : missing) {
    const auto found = newest.find(m.installed.package);
    if (found == newest.end()) continue;
    m.available = found->second;
    ASSAY_ASSIGN(const Output newer,
                 RunProgram({"dpkg", "--compare-versions", m.installed.version, "gt", m.available}, "/"));
    m.why = newer.exit_code == 0 ? Missing::kNewer : Missing::kSuperseded;
  }
  return {};
}

bool HasDigest(const std::string& path, const std::string& sha256) {
  const Result<MappedFile> file = MappedFile::Open(path);
  return file && Hash(HashAlg::kSha256, file->view()).hex() == sha256;
}

// Whether nobody but root and this user could have written it.
bool OnlyOwnersWrite(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) &&
         !S_ISLNK(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// Whether the file is there and says that it is this package.
bool IsKept(const std::string& folder, const std::string& file, const Installed& p) {
  if (!OnlyOwnersWrite(folder) || !OnlyOwnersWrite(file)) return false;
  const Result<PackageContent> content = ReadDeb(file);
  return content && content->package == p.package && content->version == p.version &&
         content->architecture == p.architecture;
}

// The folder in which apt keeps the files of packages: apt-config says "D='/var/cache/apt/archives'".
Result<std::string> AptArchives() {
  ASSAY_ASSIGN(const Output o, RunProgram({"apt-config", "shell", "D", "Dir::Cache::archives/f"}, "/"));
  const std::size_t first = o.out.find('\'');
  const std::size_t last = o.out.rfind('\'');
  return first == last ? "" : o.out.substr(first + 1, last - first - 1);
}

// Takes the packages out of `missing` of which a file was kept: in the folder, or by apt.
Result<> UseKept(const std::string& folder, FetchReport& report) {
  if (report.missing.empty()) return {};
  ASSAY_ASSIGN(const std::string archives, AptArchives());
  std::erase_if(report.missing, [&](const MissingPackage& m) {
    for (const std::string& in : {folder, archives}) {
      const std::string file = in + "/" + FileName(m.installed);
      if (!IsKept(in, file, m.installed)) continue;
      report.kept.push_back({m.installed, file});
      return true;
    }
    return false;
  });
  return {};
}

Result<> Download(std::span<const Wanted> packages, const std::string& folder) {
  std::vector<std::string> argv{"apt-get", "download",          "-q", "-o", "APT::Sandbox::User=root",
                                "-o",      "Acquire::Retries=3"};
  for (const Wanted& w : packages) argv.push_back(AptName(w.package));
  ASSAY_ASSIGN(const Output o, RunProgram(argv, folder));
  if (o.exit_code != 0) return Fail(LibError("apt-get", o.err));
  return {};
}

// Downloads into a separate folder, so that a file with its final name is always complete and verified.
class Fetcher {
 public:
  Fetcher(std::vector<Wanted> wanted, std::string folder, FetchReport& report, FetchProgress progress,
          std::size_t done, std::size_t all)
      : wanted_(std::move(wanted)),
        folder_(std::move(folder)),
        report_(report),
        progress_(std::move(progress)),
        done_(done),
        all_(all) {}

  void Run() {
    std::vector<Thread> threads;
    for (unsigned i = 0; i < kFetchers && i * kFetchBatch < wanted_.size(); ++i)
      threads.push_back(Thread("assay-fetch", [this] { Loop(); }));
    threads.clear();  // waits for them
    std::error_code ignored;
    std::filesystem::remove(folder_ + "/partial", ignored);  // the folder stays if it is not empty
  }

 private:
  void Loop() {
    while (true) {
      const std::size_t from = next_.fetch_add(kFetchBatch);
      if (from >= wanted_.size()) return;
      const std::span<const Wanted> batch =
          std::span(wanted_).subspan(from, std::min(kFetchBatch, wanted_.size() - from));
      // apt goes on after a package that it can't fetch, so the fetched files are used in any case.
      const Result<> all = Download(batch, folder_ + "/partial");
      for (const Wanted& w : batch)
        Take(w, all ? "apt-get did not fetch the file that its lists name" : all.error().Message());
    }
  }

  void Take(const Wanted& w, const std::string& otherwise) {
    const std::string name = FileName(w.package);
    const std::string partial = folder_ + "/partial/" + name;
    std::error_code error;
    const bool good = HasDigest(partial, w.sha256);
    if (good)
      std::filesystem::rename(partial, folder_ + "/" + name, error);
    else
      std::filesystem::remove(partial, error);
    const MutexLock lock(mutex_);
    if (!good || error)
      report_.failed.push_back(
          fmt::format("{} {}: {}", w.package.package, w.package.version, good ? error.message() : otherwise));
    if (progress_) progress_(++done_, all_);
  }

  const std::vector<Wanted> wanted_;
  const std::string folder_;
  FetchReport& report_ ASSAY_GUARDED_BY(mutex_);
  const FetchProgress progress_;
  std::size_t done_ ASSAY_GUARDED_BY(mutex_);
  const std::size_t all_;
  std::atomic<std::size_t> next_{0};
  Mutex mutex_;
};

}  // namespace

std::string_view MissingName(Missing m) {
  static constexpr auto kNames = Names<Missing>({{Missing::kThirdParty, "third-party"},
                                                 {Missing::kNewer, "newer"},
                                                 {Missing::kSuperseded, "superseded"}});
  return kNames.Of(m);
}

Result<FetchReport> FetchDebs(const std::vector<Installed>& packages, const std::string& folder,
                              const FetchProgress& progress) {
  ASSAY_TRY(MakeDirs(folder + "/partial", 0755));
  ASSAY_ASSIGN(const auto digests, ArchiveDigests(packages));
  FetchReport report;
  std::vector<Wanted> wanted;
  std::vector<std::string> names;
  for (const Installed& p : packages) {
    const auto digest = digests.find(FileName(p));
    if (digest == digests.end()) {
      report.missing.push_back({.installed = p, .available = "", .why = Missing::kThirdParty});
      continue;
    }
    names.push_back(folder + "/" + FileName(p));
    if (!HasDigest(names.back(), digest->second)) {
      unlink(names.back().c_str());
      wanted.push_back({p, digest->second});
    }
  }
  ASSAY_TRY(UseKept(folder, report));
  ASSAY_TRY(FindAvailable(report.missing));
  const std::size_t there = names.size() - wanted.size();
  if (progress) progress(there, names.size());
  Fetcher(std::move(wanted), folder, report, progress, there, names.size()).Run();
  for (const std::string& name : names)
    if (access(name.c_str(), R_OK) == 0) report.files.push_back(name);
  for (const KeptPackage& k : report.kept) report.files.push_back(k.file);
  return report;
}

Result<> RemoveOtherDebs(const std::string& folder, const std::vector<std::string>& used) {
  ASSAY_ASSIGN(const std::vector<std::string> names, NamesIn(folder));
  for (const std::string& name : names) {
    const std::string file = folder + "/" + name;
    if (!name.ends_with(".deb") || std::find(used.begin(), used.end(), file) != used.end()) continue;
    if (unlink(file.c_str()) != 0) return Fail(OsError("unlink", file, errno));
  }
  return {};
}

}  // namespace assay::reference
