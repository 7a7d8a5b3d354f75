#include "base/result.h"

#include <fmt/core.h>

#include <system_error>

namespace assay {

std::string ParseError::Message() const { return fmt::format("{}: {} at offset {}", format, what, offset); }

std::string OsError::Message() const {
  // generic_category().message is thread-safe, strerror is not.
  const std::string reason = std::generic_category().message(err);
  return subject.empty() ? fmt::format("{}: {}", call, reason)
                         : fmt::format("{} {}: {}", call, subject, reason);
}

}  // namespace assay
