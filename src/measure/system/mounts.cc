#include "measure/system/mounts.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/fd.h"
#include "measure/system/file.h"

namespace assay::measure {
namespace {

Error Bad(std::uint64_t offset, const char* what) { return ParseError("mountinfo", offset, what); }

Result<std::string> Unescape(std::string_view text, std::uint64_t offset) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (text.size() - i < 4) return Fail(Bad(offset + i, "escape"));
    for (std::size_t k = 1; k <= 3; ++k) {
      if (text[i + k] < '0' || text[i + k] > '7') return Fail(Bad(offset + i, "escape"));
      value = value * 8 + static_cast<unsigned>(text[i + k] - '0');
    }
    if (value > 255) return Fail(Bad(offset + i, "escape"));
    out += static_cast<char>(value);
    i += 3;
  }
  return out;
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() <= 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsDevice(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  return IsNumber(text.substr(0, colon)) && colon < text.size() && IsNumber(text.substr(colon + 1));
}

Result<Mount> ParseLine(std::string_view line, std::uint64_t offset) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  const auto offset_of = [&](std::string_view word) {
    return offset + static_cast<std::uint64_t>(word.data() - line.data());
  };
  if (words.size() < 10) return Fail(Bad(offset, "too few fields"));
  if (!IsNumber(words[0])) return Fail(Bad(offset, "mount ID"));
  if (!IsDevice(words[2])) return Fail(Bad(offset_of(words[2]), "device"));
  Mount mount;
  for (const char c : words[0]) mount.id = mount.id * 10 + static_cast<std::uint64_t>(c - '0');
  ASSAY_ASSIGN(mount.point, Unescape(words[4], offset_of(words[4])));
  // Optional fields end with a lone hyphen; the type follows it.
  for (std::size_t i = 6; i + 1 < words.size(); ++i) {
    if (words[i] == "-") {
      mount.type = words[i + 1];
      mount.device = words[2];
      mount.options = words.back();
      return mount;
    }
  }
  return Fail(Bad(offset, "no separator"));
}

}  // namespace

Result<std::vector<Mount>> ParseMountInfo(std::string_view text) {
  if (text.size() > kMaxMountInfo) return Fail(Bad(kMaxMountInfo, "too long"));
  std::vector<Mount> mounts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    ASSAY_ASSIGN(Mount mount, ParseLine(text.substr(at, end - at), at));
    mounts.push_back(std::move(mount));
    at = end + 1;
  }
  return mounts;
}

Result<std::vector<Mount>> ReadMounts(const std::string& mountinfo) {
  ASSAY_ASSIGN(const Bytes text, ReadFile(mountinfo, kMaxMountInfo));
  return ParseMountInfo(AsText(text));
}

Result<std::vector<Mount>> ReadMounts(int fd) {
  if (lseek(fd, 0, SEEK_SET) != 0) return Fail(OsError("lseek", "mountinfo", errno));
  ASSAY_ASSIGN(const Bytes text, ReadAll(fd, kMaxMountInfo));
  return ParseMountInfo(AsText(text));
}

bool HoldsFiles(const Mount& mount) {
  static const std::set<std::string> without{
      "proc",    "sysfs",    "cgroup",      "cgroup2",    "devpts",   "mqueue", "bpf",
      "tracefs", "debugfs",  "configfs",    "securityfs", "pstore",   "nsfs",   "autofs",
      "fusectl", "efivarfs", "binfmt_misc", "rpc_pipefs", "selinuxfs"};
  return !without.contains(mount.type) && mount.type != "fuse.assay";
}

std::optional<Mount> FindMount(std::uint64_t id, const std::string& mountinfo) {
  Result<std::vector<Mount>> mounts = ReadMounts(mountinfo);
  if (!mounts) return std::nullopt;
  const auto at = std::find_if(mounts->begin(), mounts->end(), [&](const Mount& m) { return m.id == id; });
  return at == mounts->end() ? std::nullopt : std::optional(std::move(*at));
}

std::optional<std::string> MountTypeOf(int fd, const std::string& mountinfo) {
  const Result<FdInfo> info = FdInfoOf("/proc/self", std::to_string(fd));
  if (!info) return std::nullopt;
  std::optional<Mount> mount = FindMount(info->mount, mountinfo);
  return mount ? std::optional(std::move(mount->type)) : std::nullopt;
}

}  // namespace assay::measure
