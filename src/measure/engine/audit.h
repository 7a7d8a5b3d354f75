// Internal: records for the kernel's audit system, as type TRUSTED_APP.
//
//   const Audit audit;
//   audit.Send("op=appraise cause=unknown-digest res=0", false);
//
// Contract: if there is no audit system, or it refuses us (in a container), Send() does nothing; available()
// tells. Thread-safe.
#pragma once

#include <string>

#include "base/fd.h"

namespace assay::measure {

class Audit {
 public:
  Audit();
  bool available() const { return static_cast<bool>(fd_); }
  void Send(const std::string& text, bool success) const;

 private:
  UniqueFd fd_;
};

// A value as audit records have it: quoted, or in hexadecimal when it holds a blank, a quote or a control
// character. Source: audit(7) log_untrusted_string conventions.
std::string AuditValue(std::string_view value);

}  // namespace assay::measure
