// A mount namespace of the attester's own: what is measured in it touches nothing outside.
//
//   ASSAY_ASSIGN(std::unique_ptr<OwnNamespace> ns, OwnNamespace::Create());
//   ASSAY_TRY(ns->Run([&] { return StartSomething(); }));      // in the namespace; threads it starts stay
//   there EnterNamespace(ns->path());                                // from another process: setns
//
// Contract: the namespace begins as a private copy of the present one and ends with this object and the last
// task in it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace assay::measure {

class OwnNamespace {
 public:
  static Result<std::unique_ptr<OwnNamespace>> Create();
  ~OwnNamespace();
  Result<> Run(const std::function<Result<>()>& fn);
  const std::string& path() const;  // "/proc/PID/task/TID/ns/mnt"

 private:
  struct Impl;
  explicit OwnNamespace(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Moves the calling (single-threaded) process there, keeping its working directory where that exists.
Result<> EnterNamespace(const std::string& path);

}  // namespace assay::measure
