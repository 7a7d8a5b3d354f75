// Internal: what the reference values allow to the programs of packages (violations, BPF programs of their
// own), and how often they did it.
//
//   // given: const ReferenceValues& references, const Digest& program
//   PackageViolations allowed(references);
//   if (!allowed.Take(program, "anonymous_code")) log::Info("{} may not", program.ToString());
//   log::Info("{}", allowed.Text());   // "nodejs 3 anonymous_code, grep 1 writable_code"
//
// Contract: the program's digest decides, not its path. Content that is revoked is allowed nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "appraise/appraise.h"

namespace assay::appraise {

class PackageViolations {
 public:
  explicit PackageViolations(const ReferenceValues& references) : references_(references) {}
  // Whether it is allowed; then it is counted.
  bool Take(const Digest& program, const std::string& kind);
  std::string Text() const;  // empty: none was allowed

 private:
  const ReferenceValues& references_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> counts_;  // by package and kind
};

}  // namespace assay::appraise
