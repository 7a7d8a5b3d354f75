// A JSON document as text, for .cc files that write one.
//
//   // given: const std::string& path, const nlohmann::json& document
//   log::Info("{}", DumpJson(nlohmann::json{{"path", path}}));                      // on one line
//   ASSAY_TRY(WriteFileAtomic(path, AsBytes(DumpJson(document, 1))));
//
// Contract: it never throws. Paths and names are bytes and JSON is UTF-8, so bytes that are not UTF-8 become
// U+FFFD.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace assay {

// indent: columns for each level; -1: all on one line.
template <typename Json>
std::string DumpJson(const Json& document, int indent = -1) {
  return document.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace assay
