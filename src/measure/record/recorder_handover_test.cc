// A recorder that goes on with another one's list, without a gap.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/thread.h"
#include "measure/record/recorder_testing.h"

namespace assay::measure {
namespace {

using Paths = std::vector<std::string>;

class RecorderHandover : public RecorderTest {
 protected:
  std::unique_ptr<Recorder> Await() { return Recorder::Await(recorder_options_, *tpm_); }
};

TEST_F(RecorderHandover, WhatWaitsIsRecordedAfterTheSuccessorsFirstRecords) {
  auto lock = ListLock::Take(recorder_options_.dir);
  ASSERT_THAT(lock, IsOk());
  recorder_options_.lock = std::move(*lock);
  Open();
  ASSERT_THAT(recorder_->RecordBuffer("assay-start", AsBytes("1"), {}), IsOk());
  Add("/before", "9");
  const std::uint64_t gaps = recorder_->State().gaps;
  const std::unique_ptr<Recorder> successor = Await();
  std::atomic<bool> recorded{false};
  Thread task("task", [&] {
    EXPECT_THAT(successor->Record({DigestOf("8"), "/waits", {}}), IsOk());
    recorded = true;
  });
  ASSERT_THAT(recorder_->Flush(), IsOk());
  UniqueFd copy(fcntl(recorder_options_.lock->fd(), F_DUPFD_CLOEXEC, 0));  // as another process gets it
  Close();
  recorder_options_.lock = nullptr;
  EXPECT_THAT(TryOpen(), FailsWith("recorder.locked")) << "for a moment the list had no lock";
  EXPECT_FALSE(recorded);
  ASSERT_THAT(successor->Begin(*ListLock::Adopt(std::move(copy)),
                               [&]() -> Result<> {
                                 EXPECT_FALSE(recorded);
                                 ASSAY_TRY(successor->RecordBuffer("assay-policy", AsBytes("{}"), {}));
                                 return {};
                               }),
              IsOk());
  task.Join();
  EXPECT_TRUE(recorded);
  EXPECT_EQ(successor->State().gaps, gaps);
  EXPECT_THAT(TryOpen(), FailsWith("recorder.locked"));
  EXPECT_EQ(CheckedPaths(), (Paths{"boot_aggregate", "assay-start", "/before", "assay-policy", "/waits"}));
  const auto again = successor->Record({DigestOf("9"), "/before", {}});
  ASSERT_THAT(again, IsOk());
  EXPECT_FALSE(again->is_new);
}

TEST_F(RecorderHandover, AFailedBeginningIsAnErrorForAllThatWait) {
  Open();  // it keeps the lock
  const std::unique_ptr<Recorder> successor = Await();
  Thread task("task", [&] {
    EXPECT_THAT(successor->Record({DigestOf("8"), "/waits", {}}), FailsWith("recorder.locked"));
  });
  EXPECT_THAT(successor->Begin({}, []() -> Result<> { return {}; }), FailsWith("recorder.locked"));
  task.Join();
  EXPECT_THAT(successor->Flush(), FailsWith("recorder.locked"));
}

}  // namespace
}  // namespace assay::measure
