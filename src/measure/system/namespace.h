// A mount namespace of the attester: measuring in it does not affect the rest of the machine.
//
//   // given: const std::function<Result<>()>& start
//   ASSAY_ASSIGN(std::unique_ptr<OwnNamespace> own, OwnNamespace::Create());
//   ASSAY_TRY(own->Run(start));                   // in the namespace; threads that it starts stay there
//   ASSAY_TRY(EnterNamespace(own->path()));       // from another process
//
// Contract: the namespace begins as a private copy of the present one. It ends when this object is destroyed
// and the last task in it has ended.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace assay::measure {

class OwnNamespace {
 public:
  static Result<std::unique_ptr<OwnNamespace>> Create();
  // That of another attester: its path().
  static Result<std::unique_ptr<OwnNamespace>> Join(const std::string& other);
  ~OwnNamespace();
  Result<> Run(const std::function<Result<>()>& fn);
  const std::string& path() const;  // "/proc/PID/task/TID/ns/mnt"

 private:
  struct Impl;
  explicit OwnNamespace(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Moves the calling (single-threaded) process into the namespace, and keeps its working directory if it
// exists there.
Result<> EnterNamespace(const std::string& path);

}  // namespace assay::measure
