// A thread with a name, which `top -H`, gdb and /proc/PID/task/TID/comm show. Its destructor joins it.
//
//   #include <functional>
//   // given: std::function<void()> read, std::function<void()> stop
//   Thread reader("assay-read", read);
//   stop();         // makes read() return
//   reader.Join();  // or the end of the block
//
// Contract: a name is a literal of at most 15 bytes (the kernel's bound), which is checked when it compiles.
// The destructor waits for the function to return, so make the function return first. An assignment waits in
// the same way for the thread that it replaces, while the new one already runs. A detached thread must itself
// keep alive what it uses (a shared_ptr). If the system can't start another thread, the process ends, except
// with Try().
#pragma once

#include <pthread.h>

#include <cstddef>
#include <system_error>
#include <thread>
#include <utility>

namespace assay {

// A string literal that the kernel can keep whole.
class ThreadName {
 public:
  template <std::size_t kSize>
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is a name
  consteval ThreadName(const char (&name)[kSize]) : name_(name) {
    static_assert(kSize <= 16, "the kernel keeps 15 bytes of a thread's name");
  }
  const char* get() const { return name_; }

 private:
  const char* name_;
};

class Thread {
 public:
  Thread() = default;
  template <typename Function>
  Thread(ThreadName name, Function function) noexcept : thread_(Started(name, std::move(function))) {}
  // For callers that can do without the thread: it is not Joinable() if the system can't start one.
  template <typename Function>
  static Thread Try(ThreadName name, Function function) noexcept {
    Thread thread;
    try {
      thread.thread_ = Started(name, std::move(function));
    } catch (const std::system_error&) {
    }
    return thread;
  }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&& other) noexcept {
    if (this != &other) {
      Join();
      thread_ = std::move(other.thread_);
    }
    return *this;
  }
  ~Thread() { Join(); }

  // Waits for the function to return. Does nothing if there is no thread, or if it was joined or detached.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  void Detach() { thread_.detach(); }
  bool Joinable() const { return thread_.joinable(); }

 private:
  template <typename Function>
  static std::thread Started(ThreadName name, Function function) {
    return std::thread([name, run = std::move(function)]() mutable {
      ::pthread_setname_np(::pthread_self(), name.get());
      run();
    });
  }
  std::thread thread_;
};

}  // namespace assay
