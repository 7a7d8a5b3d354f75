#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/fd.h"
#include "base/log.h"
#include "reference/format.h"
#include "reference/index.h"
#include "reference/process.h"

namespace assay::reference {
namespace {

constexpr std::size_t kFetchBatch = 8;
constexpr std::size_t kPathBatch = 500;

template <typename Visit>
void EachLine(std::string_view text, Visit visit) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    visit(text.substr(at, end - at));
    at = end + 1;
  }
}

std::string ReplaceAll(std::string s, std::string_view from, std::string_view to) {
  for (std::size_t at = s.find(from); at != std::string::npos; at = s.find(from, at + to.size()))
    s.replace(at, from.size(), to);
  return s;
}

// As apt names what it downloads.
std::string FileName(const Installed& p) {
  return p.package + "_" + ReplaceAll(p.version, ":", "%3a") + "_" + p.architecture + ".deb";
}

std::string AptName(const Installed& p) {
  return p.package + (p.architecture == "all" ? "" : ":" + p.architecture) + "=" + p.version;
}

// dpkg-query takes patterns: what is one in a path is not meant so.
std::string Literal(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// The names that a package may know a file by, on a machine whose /bin is /usr/bin.
std::vector<std::string> Names(const std::string& path) {
  std::vector<std::string> names{path};
  if (path.starts_with("/usr/") && NormalisePath(path.substr(4)) == path) names.push_back(path.substr(4));
  if (const std::string merged = NormalisePath(path); merged != path) names.push_back(merged);
  return names;
}

// "name[:arch]", several with commas.
void TakeNames(std::string_view names, std::set<std::string>& out) {
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(", "), names.size());
    out.insert(std::string(names.substr(0, comma)));
    names.remove_prefix(std::min(comma + 2, names.size()));
  }
}

Result<> Download(const std::vector<Installed>& packages, const std::string& folder) {
  std::vector<std::string> argv{"apt-get", "download", "-q", "-o", "APT::Sandbox::User=root"};
  for (const Installed& p : packages) argv.push_back(AptName(p));
  ASSAY_ASSIGN(const Output o, RunProgram(argv, folder));
  if (o.exit_code != 0) return Fail(LibError("apt-get", o.err));
  return {};
}

}  // namespace

Result<std::vector<Installed>> InstalledPackages() {
  ASSAY_ASSIGN(const Output o,
               RunProgram({"dpkg-query", "-W", "-f",
                           "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\n"},
                          "/"));
  if (o.exit_code != 0) return Fail(LibError("dpkg-query", o.err));
  std::vector<Installed> out;
  EachLine(o.out, [&](std::string_view line) {
    std::vector<std::string> fields;
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t end = std::min(line.find('\t', at), line.size());
      fields.emplace_back(line.substr(at, end - at));
      at = end + 1;
    }
    if (fields.size() == 4 && fields[0].size() > 1 && fields[0][1] == 'i')
      out.push_back({.package = fields[1], .version = fields[2], .architecture = fields[3]});
  });
  return out;
}

Result<std::vector<Installed>> OwnersOf(const std::vector<std::string>& paths) {
  std::set<std::string> owners;
  for (std::size_t i = 0; i < paths.size(); i += kPathBatch) {
    std::vector<std::string> argv{"dpkg-query", "-S"};
    for (std::size_t j = i; j < std::min(paths.size(), i + kPathBatch); ++j)
      for (const std::string& name : Names(paths[j])) argv.push_back(Literal(name));
    // Exit code 1: not every path is some package's.
    ASSAY_ASSIGN(const Output o, RunProgram(argv, "/"));
    if (o.exit_code > 1) return Fail(LibError("dpkg-query", o.err));
    EachLine(o.out, [&](std::string_view line) {
      const std::size_t colon = line.find(": ");
      if (colon == std::string_view::npos || line.starts_with("diversion by ")) return;
      TakeNames(line.substr(0, colon), owners);
    });
  }
  ASSAY_ASSIGN(const std::vector<Installed> installed, InstalledPackages());
  std::vector<Installed> out;
  for (const Installed& p : installed)
    if (owners.contains(p.package) || owners.contains(p.package + ":" + p.architecture)) out.push_back(p);
  return out;
}

Result<FetchReport> FetchDebs(const std::vector<Installed>& packages, const std::string& folder,
                              const std::function<void(std::size_t done, std::size_t all)>& progress) {
  ASSAY_TRY(MakeDirs(folder, 0755));
  FetchReport report;
  auto have = [&](const Installed& p) { return access((folder + "/" + FileName(p)).c_str(), R_OK) == 0; };
  std::vector<Installed> wanted;
  for (const Installed& p : packages)
    if (!have(p)) wanted.push_back(p);
  std::size_t done = packages.size() - wanted.size();
  for (std::size_t i = 0; i < wanted.size(); i += kFetchBatch) {
    if (progress) progress(done, packages.size());
    const auto first = wanted.begin() + static_cast<std::ptrdiff_t>(i);
    const auto last = wanted.begin() + static_cast<std::ptrdiff_t>(std::min(wanted.size(), i + kFetchBatch));
    // One that is not to be had fails all of its batch: then each on its own.
    if (!Download({first, last}, folder)) {
      for (auto p = first; p != last; ++p) {
        if (have(*p)) continue;
        if (const Result<> one = Download({*p}, folder); !one)
          log::Info("{} {}: {}", p->package, p->version, one.error().Message());
      }
    }
    done += static_cast<std::size_t>(last - first);
  }
  if (progress) progress(done, packages.size());
  for (const Installed& p : packages) {
    if (have(p))
      report.files.push_back(folder + "/" + FileName(p));
    else
      report.missing.push_back(p);
  }
  return report;
}

}  // namespace assay::reference
