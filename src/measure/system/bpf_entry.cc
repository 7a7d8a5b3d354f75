#include "measure/system/bpf_entry.h"

#include "base/digest_text.h"

namespace assay::measure {
namespace {

constexpr std::string_view kPrefix = "bpf-prog:";

}  // namespace

std::string BpfEntryName(std::string_view program, const std::optional<Digest>& loader) {
  std::string name = std::string(kPrefix) + std::string(program);
  if (loader) name += "@" + loader->ToString();
  return name;
}

std::optional<Digest> BpfLoader(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  const Result<Digest> loader = ParseDigest(name.substr(at + 1));
  if (!loader) return std::nullopt;
  return *loader;
}

}  // namespace assay::measure
