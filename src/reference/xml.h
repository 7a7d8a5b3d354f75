// Internal: reading untrusted XML, bounded in size and depth (expat inside).
//
//   // given: std::string_view text
//   class Titles : public XmlVisitor {
//     Result<> End(std::string_view element, std::string_view content) override {
//       if (element == "title") log::Info("{}", content);
//       return {};
//     }
//   } titles;
//   ASSAY_TRY(ReadXml(text, "advisories", titles));
//
// Contract: an element's name is without its namespace's prefix. A document type declaration is an error, so
// that there are no entities but XML's own five; so are elements nested deeper than 64. Errors are
// ParseErrors of the format, with the offset. Source: XML 1.0.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay::reference {

using XmlAttributes = std::map<std::string, std::string, std::less<>>;

class XmlVisitor {
 public:
  virtual ~XmlVisitor() = default;
  virtual Result<> Start(std::string_view element, const XmlAttributes& attributes);
  // content: the text of the element itself since its last inner element, up to 4096 bytes.
  virtual Result<> End(std::string_view element, std::string_view content) = 0;
};
Result<> ReadXml(std::string_view text, std::string_view format, XmlVisitor& visitor);

}  // namespace assay::reference
