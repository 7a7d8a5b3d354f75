#include "measure/system/mount_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <set>

#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxMountInfo = 64 << 20;

Result<std::string> Unescape(std::string_view text, std::uint64_t offset) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (text.size() - i < 4) return Fail(ParseError("mountinfo", offset + i, "escape"));
    for (std::size_t k = 1; k <= 3; ++k) {
      if (text[i + k] < '0' || text[i + k] > '7') return Fail(ParseError("mountinfo", offset + i, "escape"));
      value = value * 8 + static_cast<unsigned>(text[i + k] - '0');
    }
    if (value > 255) return Fail(ParseError("mountinfo", offset + i, "escape"));
    out += static_cast<char>(value);
    i += 3;
  }
  return out;
}

Result<Mount> ParseLine(std::string_view line, std::uint64_t offset) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  if (words.size() < 10) return Fail(ParseError("mountinfo", offset, "too few fields"));
  Mount mount;
  for (char c : words[0]) {
    if (c < '0' || c > '9' || mount.id > UINT32_MAX) return Fail(ParseError("mountinfo", offset, "mount ID"));
    mount.id = mount.id * 10 + static_cast<std::uint64_t>(c - '0');
  }
  ASSAY_ASSIGN(mount.point,
               Unescape(words[4], offset + static_cast<std::uint64_t>(words[4].data() - line.data())));
  // Optional fields end with a lone hyphen; the type follows it.
  for (std::size_t i = 6; i + 1 < words.size(); ++i) {
    if (words[i] == "-") {
      mount.type = words[i + 1];
      mount.device = words[2];
      mount.options = words.back();
      return mount;
    }
  }
  return Fail(ParseError("mountinfo", offset, "no separator"));
}

}  // namespace

Result<std::vector<Mount>> ParseMountInfo(std::string_view text) {
  std::vector<Mount> mounts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    ASSAY_ASSIGN(Mount mount, ParseLine(text.substr(at, end - at), at));
    mounts.push_back(std::move(mount));
    at = end + 1;
  }
  return mounts;
}

bool HoldsFiles(const Mount& mount) {
  static const std::set<std::string> without{
      "proc",    "sysfs",    "cgroup",      "cgroup2",    "devpts",   "mqueue", "bpf",
      "tracefs", "debugfs",  "configfs",    "securityfs", "pstore",   "nsfs",   "autofs",
      "fusectl", "efivarfs", "binfmt_misc", "rpc_pipefs", "selinuxfs"};
  return !without.contains(mount.type) && mount.type != "fuse.assay";
}

struct MountWatch::Impl {
  std::function<void(const Mount&)> appeared;
  UniqueFd info;
  UniqueFd stop;
  std::set<std::uint64_t> seen;
  Thread thread;

  Result<std::vector<Mount>> Read() {
    if (lseek(info.get(), 0, SEEK_SET) != 0) return Fail(OsError("lseek", "mountinfo", errno));
    ASSAY_ASSIGN(Bytes bytes, ReadAll(info.get(), kMaxMountInfo));
    return ParseMountInfo(AsText(bytes));
  }
  void Loop() {
    while (true) {
      std::array<pollfd, 2> wait{pollfd{info.get(), POLLPRI, 0}, pollfd{stop.get(), POLLIN, 0}};
      if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) {
        log::Error("{}", OsError("poll", "mountinfo", errno).Message());
        return;
      }
      if (wait[1].revents != 0) return;
      auto mounts = Read();
      if (!mounts) {
        log::Error("new mounts can't be told: {}", mounts.error().Message());
        continue;
      }
      std::set<std::uint64_t> present;
      for (const Mount& mount : *mounts) {
        present.insert(mount.id);
        if (!seen.contains(mount.id) && HoldsFiles(mount)) appeared(mount);
      }
      seen = std::move(present);  // an ID is used again after its mount is gone
    }
  }
};

MountWatch::MountWatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MountWatch::~MountWatch() {
  const std::uint64_t one = 1;
  if (write(impl_->stop.get(), &one, sizeof(one)) != sizeof(one))
    log::Error("{}", OsError("write", "eventfd", errno).Message());
  impl_->thread.Join();
}

Result<std::unique_ptr<MountWatch>> MountWatch::Start(std::function<void(const Mount&)> appeared) {
  auto impl = std::make_unique<Impl>();
  impl->appeared = std::move(appeared);
  ASSAY_ASSIGN(impl->info, Open("/proc/thread-self/mountinfo", O_RDONLY));
  impl->stop = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!impl->stop) return Fail(OsError("eventfd", "", errno));
  ASSAY_ASSIGN(std::vector<Mount> mounts, impl->Read());
  for (const Mount& mount : mounts) impl->seen.insert(mount.id);
  Impl* raw = impl.get();
  raw->thread = Thread("assay-mountinfo", [raw] { raw->Loop(); });
  return std::unique_ptr<MountWatch>(new MountWatch(std::move(impl)));
}

}  // namespace assay::measure
