// Finds the installed packages and the owners of a file in dpkg's database.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/process.h"
#include "reference/index.h"

namespace assay::reference {
namespace {

constexpr std::size_t kPathBatch = 500;

// dpkg-query takes patterns, so special characters of a path are quoted.
std::string Literal(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// "/a/m.py" for "/a/__pycache__/m.cpython-311.pyc", because no package has the byte code itself. Other paths
// are returned unchanged.
std::string SourceOf(const std::string& path) {
  constexpr std::string_view kFolder = "/__pycache__/";
  const std::size_t folder = path.rfind(kFolder);
  if (folder == std::string::npos || !path.ends_with(".pyc")) return path;
  const std::size_t name = folder + kFolder.size();
  return path.substr(0, folder + 1) + path.substr(name, path.find('.', name) - name) + ".py";
}

// The names that a package may have for a file on a machine whose /bin is /usr/bin.
std::vector<std::string> Names(const std::string& file) {
  const std::string path = SourceOf(file);
  std::vector<std::string> names{path};
  const std::string merged = appraise::NormalisePath(path);
  if (merged.starts_with("/usr/") && appraise::NormalisePath(merged.substr(4)) == merged)
    names.push_back(merged.substr(4));
  if (merged != path) names.push_back(merged);
  return names;
}

// The answer of dpkg-query -S for some paths.
struct Answer {
  std::map<std::string, std::set<std::string>> owners;  // path -> "name" or "name:architecture"
  std::map<std::string, std::string> diverted;          // the path of a diverted file -> its packaged path
};

void TakeLine(std::string_view line, std::string& diverted_from, Answer& out) {
  const std::size_t colon = line.find(": ");
  if (colon == std::string_view::npos) return;
  const std::string path(line.substr(colon + 2));
  std::string_view names = line.substr(0, colon);
  // "diversion by dash from: /bin/sh" or "local diversion from: ..."; the next line has "to".
  if (names.starts_with("diversion by ") || names.starts_with("local diversion")) {
    if (names.ends_with(" from"))
      diverted_from = path;
    else
      out.diverted[path] = diverted_from;
    return;
  }
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(", "), names.size());
    out.owners[path].insert(std::string(names.substr(0, comma)));
    names.remove_prefix(std::min(comma + 2, names.size()));
  }
}

Result<Answer> Ask(const std::vector<std::string>& paths) {
  Answer out;
  for (std::size_t i = 0; i < paths.size(); i += kPathBatch) {
    std::vector<std::string> argv{"dpkg-query", "-S"};
    for (std::size_t j = i; j < std::min(paths.size(), i + kPathBatch); ++j)
      for (const std::string& name : Names(paths[j])) argv.push_back(Literal(name));
    // Exit code 1 means that some path belongs to no package.
    ASSAY_ASSIGN(const Output o, RunProgram(argv, "/"));
    if (o.exit_code > 1) return Fail(LibError("dpkg-query", o.err));
    std::string diverted_from;
    EachLine(o.out, [&](std::string_view line) { TakeLine(line, diverted_from, out); });
  }
  return out;
}

// The path to look up instead of one that no package has: its file was diverted, or the path is a link.
std::string Elsewhere(const std::string& path, const Answer& answer) {
  for (const std::string& name : Names(path))
    if (const auto from = answer.diverted.find(name); from != answer.diverted.end()) return from->second;
  std::error_code error;
  const std::string target = std::filesystem::canonical(path, error).string();
  return error || target == path ? "" : target;
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

Result<Owners> OwnersOf(const std::vector<std::string>& paths) {
  std::vector<std::string> absolute;
  std::map<std::string, std::string> asked_for;  // the path that is looked up -> the path of the caller
  Owners out;
  for (const std::string& path : paths) {
    if (!path.starts_with('/')) {
      out.unowned.push_back(path);  // dpkg-query would read it as a pattern
    } else if (asked_for.emplace(path, path).second) {
      absolute.push_back(path);
    }
  }
  std::set<std::string> owners;
  auto take = [&](const Answer& answer, std::vector<std::string>& open) {
    std::vector<std::string> rest;
    for (const std::string& path : open) {
      bool found = false;
      for (const std::string& name : Names(path)) {
        const auto of_path = answer.owners.find(name);
        if (of_path == answer.owners.end()) continue;
        owners.insert(of_path->second.begin(), of_path->second.end());
        found = true;
      }
      if (!found) rest.push_back(path);
    }
    open = std::move(rest);
  };
  ASSAY_ASSIGN(const Answer first, Ask(absolute));
  take(first, absolute);
  std::vector<std::string> again;
  for (const std::string& path : absolute) {
    const std::string other = Elsewhere(path, first);
    if (other.empty()) {
      out.unowned.push_back(path);
    } else {
      asked_for[other] = path;
      again.push_back(other);
    }
  }
  if (!again.empty()) {
    ASSAY_ASSIGN(const Answer second, Ask(again));
    take(second, again);
    for (const std::string& path : again) out.unowned.push_back(asked_for[path]);
  }
  ASSAY_ASSIGN(const std::vector<Installed> installed, InstalledPackages());
  for (const Installed& p : installed)
    if (owners.contains(p.package) || owners.contains(p.package + ":" + p.architecture))
      out.packages.push_back(p);
  return out;
}

}  // namespace assay::reference
