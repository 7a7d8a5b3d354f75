// A path as the list writes it.
//
//   // given: const std::string& path
//   const std::string name = ima::PathText(path);   // "/opt/my app" is "/opt/my_app"
//
// Contract: each blank becomes '_', since a line of the ASCII list ends its columns with blanks. Source:
// Linux 6.12 security/integrity/ima/ima_template_lib.c (ima_write_template_field_data).
#pragma once

#include <algorithm>
#include <string>

namespace assay::ima {

inline std::string PathText(std::string path) {
  std::replace(path.begin(), path.end(), ' ', '_');
  return path;
}

}  // namespace assay::ima
