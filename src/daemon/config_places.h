// Internal: the lines at which the members of a JSON text stand, for the errors of a configuration.
//
//   // given: std::string_view text
//   const Places places(text);
//   log::Info("serve/allow is in line {}", places.LineOf("serve/allow"));
//
// Contract: the text need not be good JSON: broken() then says where and why not. A member that is not there
// has the line of the nearest object around it. Bounded by the size of the text.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace assay::daemon {

class Places {
 public:
  explicit Places(std::string_view text);
  std::size_t LineOf(std::string_view member) const;  // counts from 1
  struct Broken {
    std::size_t line = 1;
    std::string what;
  };
  const std::optional<Broken>& broken() const { return broken_; }

 private:
  std::map<std::string, std::size_t, std::less<>> lines_;  // "serve/allow" -> its line
  std::optional<Broken> broken_;
};

}  // namespace assay::daemon
