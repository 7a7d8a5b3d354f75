#include "measure/system/violation_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/digest_text.h"
#include "base/json.h"

namespace assay::measure {
namespace {
constexpr std::size_t kMaxBuffer = 64 << 10;
}  // namespace

std::string EncodeViolation(const ViolationRecord& r) {
  std::string path = r.path;
  std::replace(path.begin(), path.end(), ' ', '_');
  const nlohmann::json j{{"violation", r.violation}, {"path", path}, {"program", r.program.ToString()}};
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<ViolationRecord> ParseViolation(std::string_view json) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(json, "violation-record", kMaxBuffer));
  const JsonValue root = doc.root();
  ASSAY_TRY(root.OnlyKeys({"violation", "path", "program"}));
  ViolationRecord r;
  ASSAY_ASSIGN(r.violation, root.Str("violation"));
  ASSAY_ASSIGN(r.path, root.Str("path"));
  ASSAY_ASSIGN(const std::string program, root.Str("program"));
  ASSAY_ASSIGN(r.program, ParseDigest(program));
  return r;
}

}  // namespace assay::measure
