// Internal: the texts of one configuration, a file and its drop-ins, merged into one, and where each member
// stands.
//
//   // given: const std::vector<ConfigText>& texts
//   ASSAY_ASSIGN(const MergedTexts merged, MergedTexts::Of(texts));
//   log::Info("{}", merged.Where("serve/allow"));               // "/etc/assay/assayd.d/20-peers.json:3"
//
// Contract: each text is one JSON object, with comments; no member of it is there twice. Later ones are
// merged into the first as RFC 7396 says: objects member by member, anything else is replaced, and null takes
// a member away. A text that is not of this form is "config.syntax" or "config.unknown-member".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error_code.h"
#include "base/result.h"
#include "daemon/config.h"
#include "daemon/config_places.h"

namespace assay::daemon {

class MergedTexts {
 public:
  static Result<MergedTexts> Of(std::span<const ConfigText> texts);
  const std::string& merged() const { return merged_; }
  // FILE:LINE of the text that has set the member last, or the nearest object around it.
  std::string Where(std::string_view member) const;
  Error Bad(ErrorCode code, std::string_view member, const std::string& what) const;
  struct Placed {
    std::string name;
    Places places;
  };
  const std::vector<Placed>& texts() const { return texts_; }

 private:
  std::vector<Placed> texts_;
  std::string merged_;
};

// The file of this path, and the drop-ins that belong to it: those files of the folder beside it, with .d for
// .json, whose names end with .json, in the order of their names.
Result<std::vector<ConfigText>> ReadConfigTexts(const std::string& path);

}  // namespace assay::daemon
