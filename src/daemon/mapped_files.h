// The files that a process has mapped executable.
//
//   for (const auto& [path, link] : ExecutableMappings("self")) log::Info("{}", path);
//
// Contract: the kernel's name of each file, and a link in /proc that leads to exactly this file, even if it
// was removed or belongs to another mount namespace. Empty for a process that has ended. Source: proc(5),
// /proc/pid/map_files.
#pragma once

#include <map>
#include <string>

namespace assay::daemon {

std::map<std::string, std::string> ExecutableMappings(const std::string& process);

// Whether another content lies where this program or one of its libraries came from, as after an upgrade.
bool ProgramWasReplaced();

}  // namespace assay::daemon
