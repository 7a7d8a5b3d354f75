#include "measure/system/event_fields.h"

namespace assay::measure {

std::vector<log::Field> EventFields(const std::string& path, const Context& context) {
  std::vector<log::Field> fields{{"path", path},
                                 {"process", std::to_string(context.pid)},
                                 {"user", std::to_string(context.uid)},
                                 {"program", context.comm}};
  if (!context.cgroup.empty()) fields.push_back({"cgroup", context.cgroup});
  return fields;
}

}  // namespace assay::measure
