// A thread with a name, which `top -H`, gdb and /proc/PID/task/TID/comm show. Its destructor joins it.
//
//   Thread reader("assay-read", [this] { ReadLoop(); });
//   Stop();         // what makes ReadLoop() return
//   reader.Join();  // or the end of the block
//
// Contract: a name is a literal of at most 15 bytes (the kernel's bound), which is checked when it compiles.
// The destructor waits for the function to return, so whatever the function waits for is told to stop before.
// An assignment waits in the same way for the thread that it replaces; the new one runs already. A thread
// that is detached holds what it uses by itself (a shared_ptr). The process ends when the system has no
// further thread to give.
#pragma once

#include <pthread.h>

#include <cstddef>
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
  Thread(ThreadName name, Function function) noexcept
      : thread_([name, run = std::move(function)]() mutable {
          ::pthread_setname_np(::pthread_self(), name.get());
          run();
        }) {}
  Thread(Thread&&) = default;
  Thread& operator=(Thread&& other) noexcept {
    if (this != &other) {
      Join();
      thread_ = std::move(other.thread_);
    }
    return *this;
  }
  ~Thread() { Join(); }

  // Waits for the function to return. Nothing when there is no thread, or it was joined or detached.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  void Detach() { thread_.detach(); }
  bool Joinable() const { return thread_.joinable(); }

 private:
  std::thread thread_;
};

}  // namespace assay
