#include "measure/system/buffer_name.h"

namespace assay::measure {

std::string BufferName(uid_t uid, std::string_view what, std::string_view program) {
  std::string name(kBufferPrefix);
  return name.append(std::to_string(uid)).append(1, ':').append(what).append(1, ':').append(program);
}

}  // namespace assay::measure
