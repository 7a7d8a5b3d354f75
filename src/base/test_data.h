// Test support: where the tree's test data and a build's programs are.
//
//   #include <gtest/gtest.h>
//   #include "base/fd.h"
//   TEST(EventLog, OfAGuest) {
//     EXPECT_TRUE(assay::ReadFile(assay::TestData() + "/boot/grub-6.12/binary_bios_measurements", 1 << 20));
//   }
//
// Contract: both are found from the test program's own place, BUILD/bin below the repository, so that no
// object file depends on where the repository lies. The program ends if it lies elsewhere.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace assay {

inline std::string TestBinaries() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

inline std::string TestData() {
  std::filesystem::path folder = TestBinaries();
  while (!std::filesystem::exists(folder / "tests/data")) {
    if (folder == folder.root_path()) std::abort();
    folder = folder.parent_path();
  }
  return folder / "tests/data";
}

}  // namespace assay
