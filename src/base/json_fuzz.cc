// Untrusted JSON: parsing never crashes, and every value of an accepted document can be read.
#include "base/fuzzing.h"
#include "base/json.h"

using namespace assay;

namespace {

// Calls every accessor on every value. The depth is bounded by the document.
void Walk(const JsonValue& v, std::size_t depth) {
  Require(depth <= JsonDoc::kMaxDepth);
  (void)v.AsStr();
  (void)v.AsInt();
  (void)v.AsU64();
  (void)v.AsBool();
  const Result<> each = v.Each([&](const JsonValue& element) -> Result<> {
    Walk(element, depth + 1);
    return {};
  });
  Require(v.is_array() == each.has_value());
  const Result<> members = v.EachMember([&](std::string_view key, const JsonValue& member) -> Result<> {
    Require(v.Has(key));
    (void)v.Str(key);
    (void)v.Int(key);
    (void)v.U64(key);
    (void)v.U32(key);
    (void)v.Hex(key);
    (void)v.Strings(key);
    Require(v.Get(key).has_value());
    (void)v.Number(key);
    (void)v.Bool(key);
    (void)v.Object(key);
    (void)v.Array(key);
    Walk(member, depth + 1);
    return {};
  });
  Require(v.is_object() == members.has_value());
  (void)v.OnlyKeys({"a", "b"});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto doc = JsonDoc::Parse(text, "fuzz");
  if (doc) Walk(doc->root(), 0);
  return 0;
}
