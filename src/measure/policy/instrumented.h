// Interpreters that the owner wants to be started with a hook, which has measured what they load.
//
//   // given: std::string_view path, std::uint64_t size, const Digest& digest
//   const std::map<std::string, std::string> hooks{{"/usr/bin/python3.11", "python"}};
//   Instrumented programs(hooks);
//   if (const auto at = programs.Of(path, size, &digest)) log::Info("its hook: {}", programs.HookOf(*at));
//
// Contract: a program is recognised by its path, also through links, or because it is a copy of what is at
// such a path at present. Thread-safe. docs/formats/runassay.md, "hook:NAME".
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/mutex.h"

namespace assay::measure {

inline constexpr std::size_t kMaxInstrumented = 32;

class Instrumented {
 public:
  explicit Instrumented(const std::map<std::string, std::string>& hooks);  // by the programs' paths
  // digest: null: only the path is used.
  std::optional<std::size_t> Of(std::string_view path, std::uint64_t size, const Digest* digest);
  std::size_t size() const { return hooks_.size(); }
  const std::string& HookOf(std::size_t at) const { return hooks_.at(at); }

 private:
  struct Program {
    std::string path;    // as configured
    std::string real{};  // without links
    struct stat seen{};
    std::optional<Digest> digest{};  // once it was needed, of the file that was seen
  };
  static void Refresh(Program& program);

  std::vector<std::string> hooks_;
  Mutex mutex_;
  std::vector<Program> programs_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::measure
