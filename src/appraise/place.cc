#include "appraise/place.h"

namespace assay::appraise {
namespace {

constexpr std::string_view kInstalled = "/var/lib/dpkg/info/";
constexpr std::string_view kUnpacked = "/var/lib/dpkg/tmp.ci/";  // dpkg, src/main/unpack.c
// apt-extracttemplates(1) puts the configuration script of a package there, in front of an installation:
// dpkg-preconfigure's folder, and the one that it has by default.
constexpr std::string_view kPreconfigured[] = {"/var/cache/debconf/tmp.ci/", "/tmp/"};
constexpr std::string_view kConfig = "config";
constexpr std::size_t kRandom = 6;  // letters of mkstemp()

// "PACKAGE.config.XXXXXX"
bool IsTemporaryConfig(std::string_view name, std::string_view package) {
  if (name.size() <= kRandom || !name.starts_with(package)) return false;
  name.remove_prefix(package.size());
  return name.substr(0, name.size() - kRandom) == ".config.";
}

}  // namespace

bool IsPlaceOf(const Origin& origin, std::string_view here) {
  if (NormalisePath(origin.path) == here) return true;
  std::string_view script = origin.path;
  if (!script.starts_with(kInstalled)) return false;
  const std::size_t dot = script.rfind('.');
  if (dot == std::string_view::npos) return false;
  script.remove_prefix(dot + 1);
  if (here.starts_with(kUnpacked) && here.substr(kUnpacked.size()) == script) return true;
  if (script != kConfig) return false;
  for (const std::string_view folder : kPreconfigured)
    if (here.starts_with(folder) && IsTemporaryConfig(here.substr(folder.size()), origin.package))
      return true;
  return false;
}

}  // namespace assay::appraise
