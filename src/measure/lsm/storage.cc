#include "measure/lsm/storage.h"

#include <optional>
#include <vector>

#include "base/log.h"
#include "measure/system/storage.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxTold = 1024;

std::vector<Mount> Mounts() {
  Result<std::vector<Mount>> mounts = ReadMounts();
  if (mounts) return std::move(*mounts);
  log::Warn("mounts can't be told: {}", mounts.error().Message());
  return {};
}

}  // namespace

Result<std::unique_ptr<LsmStorage>> LsmStorage::Open() {
  ASSAY_ASSIGN(UniqueFd sysfs, OpenSysfs());
  return std::unique_ptr<LsmStorage>(new LsmStorage(std::move(sysfs)));
}

void LsmStorage::Judge(const LsmPrograms& programs) {
  const MutexLock lock(mutex_);
  std::optional<std::vector<Mount>> mounts;
  programs.AnswerStorages([&](const assay_storage& storage) ASSAY_REQUIRES(mutex_) {
    if (!mounts) mounts = Mounts();
    const std::string device =
        std::to_string(storage.dev >> 20) + ":" + std::to_string(storage.dev & 0xfffff);
    const Storage s = JudgeStorage(sysfs_.get(), {.magic = storage.magic, .device = device}, *mounts);
    if (s.steady) return 0U;
    if (told_.size() == kMaxTold) told_.clear();
    if (told_.insert(storage.id).second)
      log::Info("lsm: files of the file system {} are measured at each load: {}", device, s.why);
    return s.served ? ASSAY_VOLATILE | ASSAY_SERVED : ASSAY_VOLATILE;
  });
}

}  // namespace assay::measure
