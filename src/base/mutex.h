// A mutex, its lock and its condition variable, whose use clang checks when it compiles (-Wthread-safety).
//
//   #include <deque>
//   class Queue {
//    public:
//     void Put(int job) {
//       const MutexLock lock(mutex_);
//       jobs_.push_back(job);
//       changed_.NotifyOne();
//     }
//     int Take() {
//       MutexLock lock(mutex_);
//       while (jobs_.empty()) changed_.Wait(mutex_);
//       const int job = TakeFirst();
//       lock.Unlock();  // what follows needs no lock; lock.Lock() takes it again
//       return job;
//     }
//    private:
//     int TakeFirst() ASSAY_REQUIRES(mutex_);  // a caller without the lock does not compile
//     Mutex mutex_;
//     CondVar changed_;
//     std::deque<int> jobs_ ASSAY_GUARDED_BY(mutex_);
//   };
//
// Contract: a Mutex is not recursive. What a mutex guards says so (ASSAY_GUARDED_BY; ASSAY_PT_GUARDED_BY for
// what a pointer points to), a private function that needs a lock says so (ASSAY_REQUIRES), one that takes a
// lock itself may say that its caller must not hold it (ASSAY_EXCLUDES). Where two mutexes are held at once,
// the one that is taken first says ASSAY_ACQUIRED_BEFORE(second). A wait can end without a notification, so
// put it into a loop, or give it a predicate. The predicate reads what the mutex guards, so a lambda says
// what it requires:
//
//   changed_.Wait(mutex_, [this]() ASSAY_REQUIRES(mutex_) { return !jobs_.empty(); });
//
// gcc knows no such attributes and compiles the same code without them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#ifdef __clang__
#define ASSAY_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define ASSAY_THREAD_ATTRIBUTE(x)
#endif
#define ASSAY_GUARDED_BY(x) ASSAY_THREAD_ATTRIBUTE(guarded_by(x))
#define ASSAY_PT_GUARDED_BY(x) ASSAY_THREAD_ATTRIBUTE(pt_guarded_by(x))
#define ASSAY_ACQUIRED_BEFORE(...) ASSAY_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
#define ASSAY_REQUIRES(...) ASSAY_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ASSAY_EXCLUDES(...) ASSAY_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ASSAY_ACQUIRE(...) ASSAY_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ASSAY_RELEASE(...) ASSAY_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define ASSAY_TRY_ACQUIRE(...) ASSAY_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define ASSAY_RETURN_CAPABILITY(x) ASSAY_THREAD_ATTRIBUTE(lock_returned(x))
#define ASSAY_CAPABILITY(name) ASSAY_THREAD_ATTRIBUTE(capability(name))
#define ASSAY_SCOPED_CAPABILITY ASSAY_THREAD_ATTRIBUTE(scoped_lockable)
// For a function whose locking clang can't follow. A comment beside it gives the reason.
#define ASSAY_NO_THREAD_SAFETY_ANALYSIS ASSAY_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace assay {

class ASSAY_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ASSAY_ACQUIRE() { mutex_.lock(); }
  void Unlock() ASSAY_RELEASE() { mutex_.unlock(); }
  bool TryLock() ASSAY_TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds the mutex until the end of its block, except between Unlock() and Lock().
class ASSAY_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ASSAY_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() ASSAY_RELEASE() {
    if (held_) mutex_.Unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() ASSAY_RELEASE() {
    held_ = false;
    mutex_.Unlock();
  }
  void Lock() ASSAY_ACQUIRE() {
    mutex_.Lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// Each wait releases the mutex while it waits, and holds it when it returns.
class CondVar {
 public:
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

  void Wait(Mutex& mutex) ASSAY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False when the time has come.
  template <typename Clock, typename Duration>
  bool WaitUntil(Mutex& mutex, std::chrono::time_point<Clock, Duration> time) ASSAY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_until(lock, time);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  // False when the time is over.
  template <typename Rep, typename Period>
  bool WaitFor(Mutex& mutex, std::chrono::duration<Rep, Period> time) ASSAY_REQUIRES(mutex) {
    return WaitUntil(mutex, std::chrono::steady_clock::now() + time);
  }

  // With a predicate they wait until it holds. The last two return the predicate's value at the end. Clang
  // can't tell that the predicate's mutex is this one, so these bodies are not checked; their callers are.
  template <typename Predicate>
  void Wait(Mutex& mutex, Predicate holds) ASSAY_REQUIRES(mutex) ASSAY_NO_THREAD_SAFETY_ANALYSIS {
    while (!holds()) Wait(mutex);
  }
  template <typename Clock, typename Duration, typename Predicate>
  bool WaitUntil(Mutex& mutex, std::chrono::time_point<Clock, Duration> time, Predicate holds)
      ASSAY_REQUIRES(mutex) ASSAY_NO_THREAD_SAFETY_ANALYSIS {
    while (!holds())
      if (!WaitUntil(mutex, time)) return holds();
    return true;
  }
  template <typename Rep, typename Period, typename Predicate>
  bool WaitFor(Mutex& mutex, std::chrono::duration<Rep, Period> time, Predicate holds)
      ASSAY_REQUIRES(mutex) ASSAY_NO_THREAD_SAFETY_ANALYSIS {
    return WaitUntil(mutex, std::chrono::steady_clock::now() + time, holds);
  }

 private:
  std::condition_variable condition_;
};

}  // namespace assay
