// Text that is written to the measure node: the lines are the same however it is divided into writes, and
// each line parses or is refused.
#include "base/fuzzing.h"
#include "measure/node/measure_request.h"

using assay::Require;
using assay::measure::LineSplitter;
using assay::measure::ParseMeasureRequest;
using assay::measure::RequestLine;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t portion = 1 + data[0];
  const std::string_view text = assay::AsText({data + 1, size - 1});
  LineSplitter whole, parts;
  const auto lines = whole.Take(text);
  std::vector<std::string> in_parts;
  bool refused = false;
  for (std::size_t at = 0; at < text.size() && !refused; at += portion) {
    const auto some = parts.Take(text.substr(at, portion));
    refused = !some;
    if (refused) break;
    for (const RequestLine& line : *some) in_parts.push_back(line.text);
  }
  Require(refused == !lines);
  if (!lines) return 0;
  Require(lines->size() == in_parts.size() && whole.unfinished() == parts.unfinished());
  std::size_t end = 0;
  for (std::size_t i = 0; i < lines->size(); ++i) {
    const RequestLine& line = (*lines)[i];
    Require(line.text == in_parts[i] && line.end == end + line.text.size() + 1);
    end = line.end;
    if (const auto request = ParseMeasureRequest(line.text); request) {
      Require((request->fd >= 0) + !request->hook.empty() + !request->path.empty() == 1);
      Require(request->hook.empty() || line.text == "hook:" + request->hook);
      Require(request->path.empty() || (request->path == line.text && request->path.front() == '/'));
      // Only a buffer says what it is, and what it says can't be mistaken for another part of the name.
      Require(request->what.empty() != line.text.starts_with("buffer:"));
      Require(request->what.size() <= assay::measure::kMaxWhat &&
              request->what.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos);
    }
  }
  return 0;
}
