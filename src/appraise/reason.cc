#include "appraise/reason.h"

#include <fmt/core.h>

#include <optional>

namespace assay::appraise {
namespace {

std::string_view Deed(std::string_view hook) {
  if (hook == "exec") return "executed";
  if (hook == "open") return "read";
  return "loaded";
}

std::string WithPackage(const std::string& path, const ReferenceValues& references) {
  const std::optional<Origin> origin = path.starts_with('/') ? references.FindPath(path) : std::nullopt;
  return origin ? fmt::format("{} ({} {})", path, origin->package, origin->version) : path;
}

}  // namespace

std::string ReasonText(const evidence::ContextEntry& c, const ReferenceValues& references) {
  if (c.program.empty()) return "";
  std::string text = fmt::format("{} by {}", Deed(c.hook), WithPackage(c.program, references));
  if (!c.script.empty()) text += ", which runs " + WithPackage(c.script, references);
  if (!c.under.empty()) text += ", under " + c.under;
  text += fmt::format("; uid {}", c.uid);
  if (!c.cgroup.empty()) text += " in " + c.cgroup;
  return text;
}

}  // namespace assay::appraise
