#include "measure/system/maps.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "base/fd.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxMaps = std::size_t{16} << 20;

bool ReadHex(std::string_view text, std::uint64_t& value) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, 16);
  return error == std::errc() && at == end;
}

// "begin-end perms offset dev inode   path"
std::optional<Mapping> ParseLine(std::string_view line) {
  Mapping m;
  std::string_view words[5];
  std::string_view rest = line;
  for (std::string_view& word : words) {
    word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  }
  const auto& [range, access, offset, device, inode] = words;
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos || access.size() < 4 || inode.empty()) return std::nullopt;
  if (!ReadHex(range.substr(0, dash), m.begin) || !ReadHex(range.substr(dash + 1), m.end) || m.begin > m.end)
    return std::nullopt;
  m.range = range;
  m.executable = access[2] == 'x';
  m.object =
      std::string_view(device.data(), static_cast<std::size_t>(inode.data() + inode.size() - device.data()));
  m.path = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
  return m;
}

}  // namespace

void ForEachMappingIn(std::string_view maps, const std::function<bool(const Mapping&)>& fn) {
  while (!maps.empty()) {
    const std::string_view line = maps.substr(0, maps.find('\n'));
    maps.remove_prefix(std::min(line.size() + 1, maps.size()));
    const std::optional<Mapping> mapping = ParseLine(line);
    if (mapping && !fn(*mapping)) break;
  }
}

Result<> ForEachMapping(const std::string& process, const std::function<bool(const Mapping&)>& fn) {
  ASSAY_ASSIGN(const Bytes maps, ReadFile("/proc/" + process + "/maps", kMaxMaps));
  ForEachMappingIn(AsText(maps), fn);
  return {};
}

// Names in map_files have no leading zeros, ranges in maps have. Source: Linux 6.12 fs/proc/base.c,
// proc_map_files_readdir().
std::string MapFile(const std::string& process, std::string_view range) {
  std::string name;
  while (!range.empty()) {
    const std::string_view part = range.substr(0, range.find('-'));
    range.remove_prefix(std::min(part.size() + 1, range.size()));
    if (part.empty()) continue;
    const std::size_t zeros = std::min(part.find_first_not_of('0'), part.size() - 1);
    name += (name.empty() ? "" : "-") + std::string(part.substr(zeros));
  }
  return "/proc/" + process + "/map_files/" + name;
}

}  // namespace assay::measure
