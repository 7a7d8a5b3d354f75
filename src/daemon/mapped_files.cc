#include "daemon/mapped_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/hash_fd.h"
#include "base/log.h"
#include "measure/system/file.h"
#include "measure/system/maps.h"

namespace assay::daemon {
std::map<std::string, std::string> ExecutableMappings(const std::string& process) {
  std::map<std::string, std::string> links;
  const Result<> read = measure::ForEachMapping(process, [&](const measure::Mapping& m) {
    if (m.executable && m.path.starts_with('/')) links.emplace(m.path, measure::MapFile(process, m.range));
    return true;
  });
  if (!read) log::Debug("{}", read.error().Message());  // the process has ended
  return links;
}

bool ProgramWasReplaced() {
  const auto content = [](const std::string& path) -> Result<Digest> {
    ASSAY_ASSIGN(const UniqueFd fd, Open(path, O_RDONLY));
    return HashFd(fd.get(), HashAlg::kSha256);
  };
  for (const auto& [path, link] : ExecutableMappings("self")) {
    struct stat runs{}, lies{};
    const bool same = stat(link.c_str(), &runs) == 0 && stat(path.c_str(), &lies) == 0 &&
                      runs.st_dev == lies.st_dev && runs.st_ino == lies.st_ino;
    if (same) continue;
    const Result<Digest> now = content(std::string(measure::PlaceOf(path))), then = content(link);
    if (now && then && *now != *then) return true;
  }
  return false;
}

}  // namespace assay::daemon
