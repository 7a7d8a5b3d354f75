// The text of /proc/PID/maps: what is told of a line lies in it, in order, and a range is told as its numbers
// say.
#include <fmt/format.h>

#include <cctype>

#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/system/maps.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  const std::string_view text = AsText({data, size});
  const char* at = text.data();
  measure::ForEachMappingIn(text, [&](const measure::Mapping& m) {
    Require(m.begin <= m.end);
    std::string range(m.range);  // the kernel writes small letters
    for (char& c : range) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    Require(measure::MapFile("1", range) == fmt::format("/proc/1/map_files/{:x}-{:x}", m.begin, m.end));
    for (const std::string_view part : {m.range, m.object, m.path}) {
      if (part.empty()) continue;
      Require(part.data() >= at && part.data() + part.size() <= text.data() + text.size());
      Require(part.find('\n') == std::string_view::npos);
      at = part.data() + part.size();
    }
    return true;
  });
  return 0;
}
