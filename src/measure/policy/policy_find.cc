#include <algorithm>
#include <memory>

#include "base/fd.h"
#include "measure/policy/policy.h"

namespace assay::measure {

Result<std::shared_ptr<const Policy>> FindPolicy(const std::string& name) {
  std::string text;
  if (name.starts_with('/')) {
    ASSAY_ASSIGN(const Bytes file, ReadFile(name, kMaxPolicy));
    text = AsText(file);
  } else {
    for (std::size_t at = 0; at <= name.size();) {
      const std::size_t end = std::min(name.find('|', at), name.size());
      const std::string one = name.substr(at, end - at);
      at = end + 1;
      const auto rules = Policy::BuiltIn(one);
      if (!rules) return Fail(UsageError("not a built-in policy, nor an absolute path: " + one));
      text += *rules;
    }
  }
  Result<Policy> policy = Policy::Parse(text);
  if (!policy) return Fail(policy.error().In("the policy " + name));
  return std::make_shared<const Policy>(std::move(*policy));
}

}  // namespace assay::measure
