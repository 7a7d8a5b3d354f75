// Test support: data of real machines that other projects publish. It is not a part of this tree.
//
//   #include <gtest/gtest.h>
//   TEST(EventLog, OfARealMachine) {
//     const Bytes log = RealData("eventlogs/debian-10.bin");
//     if (log.empty()) GTEST_SKIP() << NoRealData();
//   }
//
// Contract: the folder is the one that the environment variable ASSAY_REAL_DATA names, else ../shared/data
// beside the repository. A missing file reads as empty bytes.
#pragma once

#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/test_data.h"

namespace assay {

inline std::string RealDataFolder() {
  const char* named = std::getenv("ASSAY_REAL_DATA");
  return named != nullptr ? named : TestData() + "/../../../shared/data";
}

inline Bytes RealData(const std::string& name) {
  constexpr std::size_t kMax = std::size_t{64} << 20;
  auto bytes = ReadFile(RealDataFolder() + "/" + name, kMax);
  return bytes ? std::move(*bytes) : Bytes();
}

inline std::string NoRealData() { return "the file is not in " + RealDataFolder(); }

}  // namespace assay
