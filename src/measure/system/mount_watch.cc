#include "measure/system/mount_watch.h"

#include <poll.h>

#include <array>
#include <set>

#include "base/event_fd.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"

namespace assay::measure {
struct MountWatch::Impl {
  std::function<void(const Mount&)> appeared;
  UniqueFd info;
  EventFd stop;
  std::set<std::uint64_t> seen;
  Thread thread;

  void Loop() {
    while (true) {
      std::array<pollfd, 2> wait{pollfd{info.get(), POLLPRI, 0}, pollfd{stop.get(), POLLIN, 0}};
      if (poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) {
        log::Error("{}", OsError("poll", "mountinfo", errno).Message());
        return;
      }
      if (wait[1].revents != 0) return;
      const Result<std::vector<Mount>> mounts = ReadMounts(info.get());
      if (!mounts) {
        log::Error("new mounts can't be noticed: {}", mounts.error().Message());
        continue;
      }
      std::set<std::uint64_t> present;
      for (const Mount& mount : *mounts) {
        present.insert(mount.id);
        if (!seen.contains(mount.id) && HoldsFiles(mount)) appeared(mount);
      }
      seen = std::move(present);  // an ID may be reused after its mount is gone
    }
  }
};

MountWatch::MountWatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MountWatch::~MountWatch() {
  impl_->stop.Signal();
  impl_->thread.Join();
}

Result<std::unique_ptr<MountWatch>> MountWatch::Start(std::function<void(const Mount&)> appeared) {
  auto impl = std::make_unique<Impl>();
  impl->appeared = std::move(appeared);
  ASSAY_ASSIGN(impl->info, Open(kOwnMountInfo, O_RDONLY));
  ASSAY_ASSIGN(impl->stop, EventFd::Make());
  ASSAY_ASSIGN(std::vector<Mount> mounts, ReadMounts(impl->info.get()));
  for (const Mount& mount : mounts) impl->seen.insert(mount.id);
  Impl* raw = impl.get();
  raw->thread = Thread("assay-mountinfo", [raw] { raw->Loop(); });
  return std::unique_ptr<MountWatch>(new MountWatch(std::move(impl)));
}

}  // namespace assay::measure
