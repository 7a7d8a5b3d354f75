// A progress line on stderr for what takes long; nothing where stderr is no terminal.
//
//   Progress progress(session.progress, "fetching");
//   progress.At(done, all);
//
// Contract: the line is wiped when the object goes. Safe from any thread.
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
  void Say(const std::string& what);  // where it can't be counted

 private:
  const bool shown_;
  const std::string what_;
  Mutex mutex_;
  bool printed_ ASSAY_GUARDED_BY(mutex_) = false;
};

}  // namespace assay::cli
