#include "base/descriptors.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>

#include "base/result_testing.h"

namespace assay {
namespace {

class DescriptorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    near_ = UniqueFd(ends[0]);
    far_ = UniqueFd(ends[1]);
  }
  UniqueFd near_, far_;
  Bytes room_ = Bytes(8);
};

ino_t NumberOf(int fd) {
  struct stat st{};
  return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

TEST_F(DescriptorsTest, DataAndDescriptorsComeTogether) {
  const Result<UniqueFd> null = Open("/dev/null", O_RDONLY), zero = Open("/dev/zero", O_RDONLY);
  const std::array<int, 2> fds{null->get(), zero->get()};
  ASSERT_THAT(SendWithDescriptors(near_.get(), AsBytes("abc"), fds), IsOk());
  const Result<ReceivedMessage> got = ReceiveWithDescriptors(far_.get(), room_, 2);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(AsText(ByteView(room_).first(got->size)), "abc");
  EXPECT_FALSE(got->cut);
  ASSERT_EQ(got->fds.size(), 2U);
  for (std::size_t i = 0; i < fds.size(); ++i) {
    EXPECT_EQ(NumberOf(got->fds[i].get()), NumberOf(fds[i]));
    EXPECT_EQ(fcntl(got->fds[i].get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST_F(DescriptorsTest, WhatDoesNotFitIsTold) {
  const Result<UniqueFd> null = Open("/dev/null", O_RDONLY);
  const std::array<int, 3> fds{null->get(), null->get(), null->get()};
  ASSERT_THAT(SendWithDescriptors(near_.get(), AsBytes("a"), fds), IsOk());
  EXPECT_TRUE(ReceiveWithDescriptors(far_.get(), room_, 1)->cut);
  ASSERT_THAT(SendWithDescriptors(near_.get(), AsBytes("nine bytes"), {}), IsOk());
  EXPECT_TRUE(ReceiveWithDescriptors(far_.get(), room_, 1)->cut);
}

TEST_F(DescriptorsTest, AClosedEndIsSeen) {
  near_.Reset();
  EXPECT_EQ(ReceiveWithDescriptors(far_.get(), room_, 1)->size, 0U);
  const Result<> sent = SendWithDescriptors(far_.get(), AsBytes("a"), {});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().As<OsError>()->err, EPIPE);
}

}  // namespace
}  // namespace assay
