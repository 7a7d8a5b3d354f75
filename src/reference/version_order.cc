#include "reference/version_order.h"

#include <apt-pkg/debversion.h>

namespace assay::reference {

int CompareVersions(std::string_view a, std::string_view b) {
  return debVS.DoCmpVersion(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

}  // namespace assay::reference
