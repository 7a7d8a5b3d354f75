// What a process has mapped: /proc/PID/maps.
//
//   ASSAY_TRY(ForEachMapping("812", [&](const Mapping& m) {
//     if (m.executable && m.path.starts_with('/')) files.emplace(m.path);
//     return true;
//   }));
//
// Contract: in ascending order, until the callback returns false; the views live until it returns. Lines that
// are not understood are passed over; more than 16 MiB of them are an error. Source: proc(5),
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
  std::string_view range;            // "00400000-00401000", as the line has it
  bool executable = false;
  std::string_view object;  // "08:01 1234": device (hexadecimal) and inode number
  std::string_view path;    // "/usr/bin/ls", "[stack]"; empty: anonymous memory
};
// The same, of the text of such a file.
void ForEachMappingIn(std::string_view maps, const std::function<bool(const Mapping&)>& fn);
// process: its number, or "self".
Result<> ForEachMapping(const std::string& process, const std::function<bool(const Mapping&)>& fn);

// The link to the file that a process has mapped, by the range as its line has it.
std::string MapFile(const std::string& process, std::string_view range);

}  // namespace assay::measure
