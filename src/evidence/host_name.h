// The name that an attester's machine gives itself. It proves nothing, and is for people.
//
//   // given: std::string_view text, Claims& claims
//   #include "evidence/evidence.h"
//   claims.hostname = HostName::OfSystem(text);              // the result of gethostname()
//   ASSAY_ASSIGN(const HostName read, HostName::Parse(text));
//
// Contract: at most 64 characters (HOST_NAME_MAX of Linux) of printable ASCII, so that it can be written into
// any text; it may be empty. Linux lets a name have any bytes: OfSystem() puts '?' for each other one.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace assay::evidence {

class HostName {
 public:
  static constexpr std::size_t kMaxSize = 64;
  HostName() = default;
  static HostName OfSystem(std::string_view name);
  static Result<HostName> Parse(std::string_view text);  // ParseError "parse.host-name"
  const std::string& ToString() const { return name_; }
  bool empty() const { return name_.empty(); }
  bool operator==(const HostName&) const = default;

 private:
  std::string name_;
};

}  // namespace assay::evidence
