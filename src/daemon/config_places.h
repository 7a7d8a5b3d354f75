// Internal: the lines at which the members of a JSON text stand, for the errors of a configuration.
//
//   // given: std::string_view text
//   const Places places(text);
//   log::Info("serve/allow is in line {}", places.LineOf("serve/allow"));
//
// Contract: comments (// and /* */) are passed over. The text need not be good JSON: broken() then says where
// and why not. A member that is not there has the line of the nearest object around it. A '/' in a member's
// own name is "~1" here (RFC 6901). Bounded by the size of the text.
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
  bool Has(std::string_view member) const { return lines_.contains(member); }
  using Lines = std::map<std::string, std::size_t, std::less<>>;  // "serve/allow" -> its line
  const Lines& lines() const { return lines_; }
  const Lines& repeated() const { return repeated_; }  // members that are there twice: the second line
  struct Broken {
    std::size_t line = 1;
    std::string what;
  };
  const std::optional<Broken>& broken() const { return broken_; }

 private:
  Lines lines_, repeated_;
  std::optional<Broken> broken_;
};

}  // namespace assay::daemon
