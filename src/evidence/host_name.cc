#include "evidence/host_name.h"

#include "base/text.h"

namespace assay::evidence {

HostName HostName::OfSystem(std::string_view name) {
  HostName out;
  out.name_ = PrintableAscii(name.substr(0, kMaxSize));
  return out;
}

Result<HostName> HostName::Parse(std::string_view text) {
  if (text.size() > kMaxSize) return Fail(ParseError("host-name", kMaxSize, "longer than 64 characters"));
  if (!IsPrintableAscii(text)) return Fail(ParseError("host-name", 0, "not printable ASCII"));
  HostName out;
  out.name_ = text;
  return out;
}

}  // namespace assay::evidence
