// A progress line on stderr for long work. It is shown only where stderr is a terminal.
//
//   // given: bool is_terminal, std::size_t all
//   Progress progress(is_terminal, "fetching");
//   for (std::size_t done = 0; done < all; ++done) progress.At(done, all);
//
// Contract: the line is erased when the object is destroyed. Safe from any thread.
#pragma once

#include <cstddef>
#include <string>

#include "base/mutex.h"

namespace assay::cli {

class Progress {
 public:
  Progress(bool shown, std::string what) : shown_(shown), what_(std::move(what)) {}
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void At(std::size_t done, std::size_t all);
  void Say(const std::string& what);  // for work that can't be counted

 private:
  const bool shown_;
  const std::string what_;
  Mutex mutex_;
  bool printed_ ASSAY_GUARDED_BY(mutex_) = false;
};

}  // namespace assay::cli
