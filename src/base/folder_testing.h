// For tests: a folder of a test's own.
//
//   #include "base/result_testing.h"
//   class ExampleListTest : public FolderTest {};
//   TEST_F(ExampleListTest, IsWritten) {
//     EXPECT_THAT(WriteFileAtomic(dir_ + "/list", AsBytes("text")), IsOk());
//   }
//
// Contract: SetUp() makes it with mode 0700, TearDown() removes it with what is in it. Its name is short, so
// that sockets can lie in it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace assay {

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/assay-test.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  std::string dir_;
};

}  // namespace assay
