#include "daemon/handover.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/folder_testing.h"
#include "base/members_testing.h"
#include "base/result_testing.h"

namespace assay::daemon {
namespace {

HandoverMessage Sample() {
  return {.step = "take",
          .version = "0.1.0",
          .code = "config.malformed",
          .error = "a reason",
          .run_dir = "/run/assayd",
          .tcti = "device:/dev/tpmrm0",
          .scope = "host",
          .name_space = "/proc/1/ns/mnt",
          .pcr = 10,
          .kernel_log = true,
          .policy = "measure func=BPRM_CHECK\n",
          .pid = 7,
          .handovers = 2,
          .started_ms = 3,
          .unix_path = "/run/assayd/challenge.sock",
          .listen = "127.0.0.1:7443",
          .key_context = {1, 2},
          .key_auth = {3},
          .key_public = {4}};
}

TEST(Handover, AMessageIsReadAsItWasWritten) {
  HandoverMessage sample = Sample();
  const auto read = ParseHandover(EncodeHandover(sample));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(*read, sample);
  sample.format = 2;  // all others are set
  ExpectEachMemberSet(sample);
  EXPECT_THAT(ParseHandover(EncodeHandover(sample)), FailsWith("parse.handover"));
  EXPECT_THAT(ParseHandover(R"({"format":1,"step":"hold","more":1})"), ::testing::Not(IsOk()));
  EXPECT_THAT(ParseHandover("{}"), ::testing::Not(IsOk()));
}

class HandoverLinkTest : public ::testing::Test {
 protected:
  HandoverLinkTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    ours_ = HandoverLink(UniqueFd(fds[0]));
    theirs_ = HandoverLink(UniqueFd(fds[1]));
  }
  HandoverLink ours_, theirs_;
};

TEST_F(HandoverLinkTest, DescriptorsGoAlong) {
  const auto file = Open("/proc/self/exe", O_RDONLY);
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(ours_.Send({.step = "take"}, std::vector<int>(9)), FailsWith("usage"));
  ASSERT_THAT(ours_.Send({.step = "take"}, {0, file->get()}), IsOk());
  const auto received = theirs_.Receive("take");
  ASSERT_THAT(received, IsOk());
  ASSERT_EQ(received->fds.size(), 2U);
  struct stat sent{}, got{};
  ASSERT_EQ(fstat(file->get(), &sent), 0);
  ASSERT_EQ(fstat(received->fds[1].get(), &got), 0);
  EXPECT_EQ(sent.st_ino, got.st_ino);
  EXPECT_NE(fcntl(received->fds[1].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(HandoverLinkTest, AReasonASilenceAndAnEndAreErrors) {
  ASSERT_THAT(theirs_.Send({.step = "failed", .code = "config.x", .error = "a bad line"}), IsOk());
  const auto refused = ours_.Receive("loaded");
  ASSERT_THAT(refused, FailsWith("handover.refused"));
  EXPECT_NE(refused.error().Message().find("a bad line (config.x)"), std::string::npos);
  ASSERT_THAT(theirs_.Send({.step = "holding"}), IsOk());
  EXPECT_THAT(ours_.Receive("loaded"), FailsWith("handover.refused"));
  ASSERT_THAT(theirs_.Send({.step = "helper", .pid = 5}), IsOk());
  const auto helper = ours_.Receive("holding", "helper");
  ASSERT_THAT(helper, IsOk());
  EXPECT_EQ(helper->message.pid, 5U);
  EXPECT_THAT(ours_.Receive("holding", {}, std::chrono::milliseconds(10)), FailsWith("handover.silent"));
  theirs_ = HandoverLink();
  EXPECT_THAT(ours_.Receive("holding"), FailsWith("handover.refused"));
  EXPECT_THAT(ours_.Send({.step = "hold"}), FailsWith("handover.refused"));
}

class SuccessorTest : public FolderTest {};

// The software TPM serves one connection, and the library opens one for each command, without close-on-exec:
// a copy in the successor would keep the next command from being served.
TEST_F(SuccessorTest, GetsTheLinkAndItsProgramAndNothingElse) {
  constexpr int kOfALibrary = 300;
  ASSERT_EQ(dup2(0, kOfALibrary), kOfALibrary);
  const UniqueFd closes(kOfALibrary);
  const std::string path = dir_ + "/next";
  ASSERT_THAT(WriteFileAtomic(path,
                              AsBytes("#!/bin/sh\nstep=clean\n[ ! -e /proc/$$/fd/300 ] || step=leaked\n"
                                      "printf '{\"format\":1,\"step\":\"%s\"}' \"$step\" >&3\n"),
                              0700),
              IsOk());
  const auto program = Open(path, O_RDONLY);
  ASSERT_THAT(program, IsOk());
  const auto next = Successor::Start(*program, path, "/none");
  ASSERT_THAT(next, IsOk());
  EXPECT_THAT(next->link().Receive("clean"), IsOk());
}

}  // namespace
}  // namespace assay::daemon
