// Packages of rpm from anywhere: parsing never crashes, and an accepted package has a name, a version and
// absolute paths. The order of any two versions is one.
#include "base/fuzzing.h"
#include "reference/rpm_file.h"
#include "reference/version_order.h"

using namespace assay;
using namespace assay::reference;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view a = text.substr(0, size / 2), b = text.substr(size / 2);
  const int order = CompareRpmVersions(a, b), other = CompareRpmVersions(b, a);
  Require((order < 0) == (other > 0) && (order == 0) == (other == 0) && CompareRpmVersions(a, a) == 0);
  const auto content = ReadRpmBytes({data, size}, "input");
  if (!content) return 0;
  Require(!content->package.empty() && !content->version.empty() && content->source.ends_with(kRpmSource));
  for (const PackagedFile& file : content->files) {
    Require(file.path.starts_with('/') && (file.path + "/").find("/../") == std::string::npos);
    Require(file.digest.alg() == HashAlg::kSha256);
  }
  return 0;
}
