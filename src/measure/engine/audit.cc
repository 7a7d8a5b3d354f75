#include "measure/engine/audit.h"

#include <libaudit.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/log.h"

namespace assay::measure {

Audit::Audit() : fd_(audit_open()) {
  if (!fd_) log::Info("no audit records: {}", std::strerror(errno));
}

void Audit::Send(const std::string& text, bool success) const {
  if (!fd_) return;
  // No answer is waited for, since the log has the same message.
  if (audit_log_user_message(fd_.get(), AUDIT_TRUSTED_APP, text.c_str(), nullptr, nullptr, nullptr,
                             success ? 1 : 0) <= 0)
    log::Debug("audit: {}", std::strerror(errno));
}

std::string AuditValue(std::string_view value) {
  const bool plain =
      std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  return plain ? "\"" + std::string(value) + "\"" : Hex(AsBytes(value));
}

}  // namespace assay::measure
