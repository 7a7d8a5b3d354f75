// The mappings of a process: /proc/PID/maps.
//
//   #include <set>
//   std::set<std::string> files;
//   ASSAY_TRY(ForEachMapping("812", [&](const Mapping& mapping) {
//     if (mapping.executable && mapping.path.starts_with('/')) files.emplace(mapping.path);
//     return true;
//   }));
//
// Contract: the callback gets the mappings in ascending order, until it returns false. The views live until
// the callback returns. Malformed lines are skipped; more than 16 MiB of text is an error. Source: proc(5),
// proc_pid_maps(5).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay::measure {

struct Mapping {
  std::uint64_t begin = 0, end = 0;  // addresses
  std::string_view range;            // "00400000-00401000", as in the line
  bool executable = false;
  std::string_view object;  // "08:01 1234": device (hexadecimal) and inode number
  std::string_view path;    // "/usr/bin/ls", "[stack]"; empty: anonymous memory
};
// The same for the text of such a file.
void ForEachMappingIn(std::string_view maps, const std::function<bool(const Mapping&)>& fn);
// process: its number, or "self".
Result<> ForEachMapping(const std::string& process, const std::function<bool(const Mapping&)>& fn);

// The path of the link /proc/PID/map_files/RANGE to the mapped file.
std::string MapFile(const std::string& process, std::string_view range);

}  // namespace assay::measure
