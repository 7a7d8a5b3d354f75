/* libassay for C++17: descriptors that close themselves, and no exceptions.
 *
 *     libassay::File file = libassay::File::Open("/etc/app.conf");
 *     if (!file) {
 *       std::fprintf(stderr, "/etc/app.conf can't be used: %s\n", std::strerror(file.error()));
 *       return 1;
 *     }
 *     // read from file.fd(): it has the content that was measured
 *     if (libassay::Judge("app-c", "print 1").value == libassay::Verdict::kRefused) return 1;
 *
 * Contract: that of assay.h. A File is movable and owns its descriptor; a moved-from or failed one has fd()
 * -1.
 */
#ifndef ASSAY_HPP
#define ASSAY_HPP

#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "assay.h"

namespace libassay {

enum class Verdict {
  kAbsent = ASSAY_ABSENT,
  kUnjudged = ASSAY_UNJUDGED,
  kKnown = ASSAY_KNOWN,
  kUnknown = ASSAY_UNKNOWN,
  kRefused = ASSAY_REFUSED,
};

// error: an errno, or 0. With an error the value is kAbsent, and the content is not known to be measured.
struct Outcome {
  Verdict value = Verdict::kAbsent;
  int error = 0;
  explicit operator bool() const { return error == 0; }
};

inline Outcome OutcomeOf(int verdict) noexcept {
  return verdict < 0 ? Outcome{Verdict::kAbsent, -verdict} : Outcome{static_cast<Verdict>(verdict), 0};
}
inline Outcome Judge(int fd, unsigned flags = 0) noexcept { return OutcomeOf(assay_verdict_fd(fd, flags)); }
inline Outcome Judge(const std::string& what, std::string_view data, unsigned flags = 0) noexcept {
  return OutcomeOf(assay_verdict_buffer(what.c_str(), data.data(), data.size(), flags));
}

class File {
 public:
  static File Open(const std::string& path, unsigned flags = 0) noexcept {
    return File(assay_open_measured(path.c_str(), flags));
  }
  static File Read(int from, const std::string& what, unsigned flags = 0) noexcept {
    return File(assay_read_measured(from, what.c_str(), flags));
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), error_(other.error_) {}
  File& operator=(File&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
      error_ = other.error_;
    }
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { Close(); }

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int error() const { return error_; }  // an errno, or 0
  int Release() { return std::exchange(fd_, -1); }

 private:
  explicit File(int result) noexcept : fd_(result < 0 ? -1 : result), error_(result < 0 ? -result : 0) {}
  void Close() noexcept {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  int fd_;
  int error_;
};

}  // namespace libassay

#endif
