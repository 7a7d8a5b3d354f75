#include "measure/system/violation_record.h"

#include "base/digest_text.h"
#include "base/json_members.h"
#include "list/path_text.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxBuffer = 64 << 10;
constexpr JsonText kDigest{[](const Digest& digest) { return digest.ToString(); }, ParseDigest};
constexpr auto kViolation = [](auto& visit, auto& r) {
  visit("violation", r.violation);
  visit("path", r.path);
  visit("program", r.program, kDigest);
};

}  // namespace

std::string EncodeViolation(const ViolationRecord& r) {
  ViolationRecord written = r;
  written.path = ima::PathText(std::move(written.path));
  return DumpJson(WriteMembers(kViolation, written));
}

Result<ViolationRecord> ParseViolation(std::string_view json) {
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(json, "violation-record", kMaxBuffer));
  ViolationRecord r;
  ASSAY_TRY(ReadMembers(kViolation, doc.root(), r));
  return r;
}

}  // namespace assay::measure
