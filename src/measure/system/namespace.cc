#include "measure/system/namespace.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/fd.h"

namespace assay::measure {

// One thread is in the namespace and runs the functions that it gets, one after the other.
struct OwnNamespace::Impl {
  std::mutex mutex;
  std::condition_variable changed;
  const std::function<Result<>()>* job = nullptr;
  std::optional<Result<>> outcome;
  bool stop = false;
  std::string path;
  std::thread thread;

  Result<> Enter() {
    if (unshare(CLONE_NEWNS) != 0) return Fail(OsError("unshare", "mount namespace", errno));
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return Fail(OsError("mount", "/ as private", errno));
    path = "/proc/" + std::to_string(getpid()) + "/task/" + std::to_string(gettid()) + "/ns/mnt";
    return {};
  }
  void Loop() {
    Result<> entered = Enter();
    std::unique_lock lock(mutex);
    outcome = std::move(entered);
    changed.notify_all();
    while (true) {
      changed.wait(lock, [&] { return stop || job != nullptr; });
      if (stop) return;
      const auto* present = std::exchange(job, nullptr);
      lock.unlock();
      Result<> result = (*present)();
      lock.lock();
      outcome = std::move(result);
      changed.notify_all();
    }
  }
  Result<> Wait(std::unique_lock<std::mutex>& lock) {
    changed.wait(lock, [&] { return outcome.has_value(); });
    Result<> result = std::move(*outcome);
    outcome.reset();
    return result;
  }
};

OwnNamespace::OwnNamespace(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

OwnNamespace::~OwnNamespace() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();
}

Result<std::unique_ptr<OwnNamespace>> OwnNamespace::Create() {
  auto impl = std::make_unique<Impl>();
  Impl* raw = impl.get();
  raw->thread = std::thread([raw] { raw->Loop(); });
  std::unique_ptr<OwnNamespace> ns(new OwnNamespace(std::move(impl)));
  std::unique_lock lock(raw->mutex);
  Result<> entered = raw->Wait(lock);
  lock.unlock();
  ASSAY_TRY(std::move(entered));
  return ns;
}

Result<> OwnNamespace::Run(const std::function<Result<>()>& fn) {
  std::unique_lock lock(impl_->mutex);
  impl_->job = &fn;
  impl_->changed.notify_all();
  return impl_->Wait(lock);
}

const std::string& OwnNamespace::path() const { return impl_->path; }

Result<> EnterNamespace(const std::string& path) {
  char cwd[PATH_MAX];
  const bool have_cwd = getcwd(cwd, sizeof(cwd)) != nullptr;
  ASSAY_ASSIGN(UniqueFd ns, Open(path, O_RDONLY));
  if (setns(ns.get(), CLONE_NEWNS) != 0) return Fail(OsError("setns", path, errno));
  if (have_cwd && chdir(cwd) != 0) return Fail(OsError("chdir", cwd, errno));
  return {};
}

}  // namespace assay::measure
