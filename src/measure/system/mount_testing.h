// Internal, for tests that mount: a mount namespace of their own.
//
//   struct WithMounts : testing::Test {
//     static void SetUpTestSuite() { EnterPrivateMounts(); }
//   };
//
// Contract: the namespace is that of the whole process, and of the threads and processes that it starts
// later. The test fails where the process has no right to make it.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace assay::measure {

inline void EnterPrivateMounts() {
  ASSERT_EQ(geteuid(), 0U) << "mounting and fanotify permission events need root";
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
}

}  // namespace assay::measure
