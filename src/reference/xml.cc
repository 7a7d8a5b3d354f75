#include "reference/xml.h"

#include <expat.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace assay::reference {
namespace {

constexpr std::size_t kMaxDepth = 64, kMaxContent = 4096, kMaxAttributes = 64;
constexpr std::size_t kPart = 1 << 20;  // bytes for each call, whose length is an int

std::string_view Local(const char* name) {
  const std::string_view whole(name);
  const std::size_t colon = whole.rfind(':');
  return colon == std::string_view::npos ? whole : whole.substr(colon + 1);
}

struct ParserDelete {
  void operator()(XML_ParserStruct* p) const { XML_ParserFree(p); }
};

// Expat 2.9 (Debian 13) has this number with 64 bits on every machine, and calls the former function
// deprecated.
std::int64_t ByteIndex(XML_Parser parser) {
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
  return XML_GetCurrentByteIndex64(parser);
#else
  return XML_GetCurrentByteIndex(parser);
#endif
}

class Reading {
 public:
  Reading(std::string_view format, XmlVisitor& visitor)
      : format_(format), visitor_(visitor), parser_(XML_ParserCreate(nullptr)) {}

  Result<> Read(std::string_view text) {
    if (parser_ == nullptr) return Fail(LibError("expat", "no memory"));
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(
        parser_.get(),
        [](void* self, const XML_Char* name, const XML_Char** attributes) {
          static_cast<Reading*>(self)->Start(name, attributes);
        },
        [](void* self, const XML_Char* name) { static_cast<Reading*>(self)->End(name); });
    XML_SetCharacterDataHandler(parser_.get(), [](void* self, const XML_Char* s, int n) {
      static_cast<Reading*>(self)->Text({s, static_cast<std::size_t>(n)});
    });
    XML_SetStartDoctypeDeclHandler(parser_.get(),
                                   [](void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
                                     static_cast<Reading*>(self)->Stop("a document type declaration");
                                   });
    do {
      const std::string_view part = text.substr(0, kPart);
      text.remove_prefix(part.size());
      const XML_Status status =
          XML_Parse(parser_.get(), part.data(), static_cast<int>(part.size()), text.empty() ? 1 : 0);
      if (stopped_) return Fail(std::move(*stopped_));
      if (status != XML_STATUS_OK) return Fail(Bad(XML_ErrorString(XML_GetErrorCode(parser_.get()))));
    } while (!text.empty());
    return {};
  }

 private:
  Error Bad(const std::string& what) const {
    return ParseError(std::string(format_),
                      static_cast<std::uint64_t>(std::max<std::int64_t>(0, ByteIndex(parser_.get()))), what);
  }
  void Stop(Error error) {
    if (!stopped_) stopped_ = std::move(error);
    XML_StopParser(parser_.get(), XML_FALSE);
  }
  void Stop(const std::string& what) { Stop(Bad(what)); }

  void Start(const char* name, const char** attributes) {
    if (stopped_) return;
    if (++depth_ > kMaxDepth) return Stop("elements nested too deep");
    content_.clear();
    XmlAttributes read;
    for (; *attributes != nullptr; attributes += 2) {
      if (read.size() >= kMaxAttributes) return Stop("too many attributes");
      read.emplace(Local(attributes[0]), attributes[1]);
    }
    if (Result<> visited = visitor_.Start(Local(name), read); !visited) Stop(visited.error());
  }
  void End(const char* name) {
    if (stopped_) return;
    --depth_;
    if (Result<> visited = visitor_.End(Local(name), content_); !visited) Stop(visited.error());
    content_.clear();
  }
  void Text(std::string_view text) {
    content_.append(text.substr(0, kMaxContent - std::min(kMaxContent, content_.size())));
  }

  std::string_view format_;
  XmlVisitor& visitor_;
  std::unique_ptr<XML_ParserStruct, ParserDelete> parser_;
  std::size_t depth_ = 0;
  std::string content_;
  std::optional<Error> stopped_;
};

}  // namespace

Result<> XmlVisitor::Start(std::string_view, const XmlAttributes&) { return {}; }

Result<> ReadXml(std::string_view text, std::string_view format, XmlVisitor& visitor) {
  return Reading(format, visitor).Read(text);
}

}  // namespace assay::reference
