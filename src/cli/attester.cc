#include "cli/attester.h"

#include <unistd.h>

#include <filesystem>

namespace assay::cli {

std::string AttesterProgram() {
  std::error_code no_error;
  const std::string own = std::filesystem::read_symlink("/proc/self/exe", no_error).parent_path();
  for (const std::string& path : {own + "/assayd", own + "/../sbin/assayd"})
    if (access(path.c_str(), X_OK) == 0) return path;
  return "assayd";
}

}  // namespace assay::cli
