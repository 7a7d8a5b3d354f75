#include "measure/system/namespace.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace assay::measure {

// One thread is in the namespace and runs the functions that it gets, one after the other.
struct OwnNamespace::Impl {
  Mutex mutex;
  CondVar changed;
  const std::function<Result<>()>* job ASSAY_GUARDED_BY(mutex) = nullptr;
  std::optional<Result<>> outcome ASSAY_GUARDED_BY(mutex);
  bool stop ASSAY_GUARDED_BY(mutex) = false;
  std::string path;  // set before the first outcome
  Thread thread;

  std::string other;  // empty: a new one

  Result<> MakeOne() {
    if (unshare(CLONE_NEWNS) != 0) return Fail(OsError("unshare", "mount namespace", errno));
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return Fail(OsError("mount", "/ as private", errno));
    return {};
  }
  Result<> Enter() {
    if (other.empty()) {
      ASSAY_TRY(MakeOne());
    } else {
      // The kernel asks for a root and a working directory that are this thread's alone.
      if (unshare(CLONE_FS) != 0) return Fail(OsError("unshare", "file system", errno));
      ASSAY_TRY(EnterNamespace(other));
    }
    path = "/proc/" + std::to_string(getpid()) + "/task/" + std::to_string(gettid()) + "/ns/mnt";
    return {};
  }
  void Loop() {
    Result<> entered = Enter();
    MutexLock lock(mutex);
    outcome = std::move(entered);
    changed.NotifyAll();
    while (true) {
      while (!stop && job == nullptr) changed.Wait(mutex);
      if (stop) return;
      const auto* present = std::exchange(job, nullptr);
      lock.Unlock();
      Result<> result = (*present)();
      lock.Lock();
      outcome = std::move(result);
      changed.NotifyAll();
    }
  }
  Result<> Wait() ASSAY_REQUIRES(mutex) {
    while (!outcome) changed.Wait(mutex);
    Result<> result = std::move(*outcome);
    outcome.reset();
    return result;
  }
};

OwnNamespace::OwnNamespace(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

OwnNamespace::~OwnNamespace() {
  {
    const MutexLock lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->changed.NotifyAll();
  impl_->thread.Join();
}

Result<std::unique_ptr<OwnNamespace>> OwnNamespace::Create() { return Join(""); }

Result<std::unique_ptr<OwnNamespace>> OwnNamespace::Join(const std::string& other) {
  auto impl = std::make_unique<Impl>();
  impl->other = other;
  Impl* raw = impl.get();
  raw->thread = Thread("assay-mounts", [raw] { raw->Loop(); });
  std::unique_ptr<OwnNamespace> ns(new OwnNamespace(std::move(impl)));
  const MutexLock lock(raw->mutex);
  ASSAY_TRY(raw->Wait());
  return ns;
}

Result<> OwnNamespace::Run(const std::function<Result<>()>& fn) {
  const MutexLock lock(impl_->mutex);
  impl_->job = &fn;
  impl_->changed.NotifyAll();
  return impl_->Wait();
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
