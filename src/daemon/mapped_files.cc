#include "daemon/mapped_files.h"

#include "base/log.h"
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

}  // namespace assay::daemon
