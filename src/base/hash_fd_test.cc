#include "base/hash_fd.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/errors.h"
#include "base/fd.h"

namespace assay {
namespace {

class HashFdTest : public ::testing::Test {
 protected:
  HashFdTest() : fd_(memfd_create("hash-fd", MFD_CLOEXEC)) {
    EXPECT_TRUE(WriteAll(fd_.get(), AsBytes(text_)));
  }
  const std::string text_ = std::string(300'000, 'x') + "end";  // three blocks
  const UniqueFd fd_;
};

TEST_F(HashFdTest, WholeContentWhateverThePosition) {
  ASSERT_EQ(lseek(fd_.get(), 7, SEEK_SET), 7);
  std::uint64_t bytes = 1;
  const Result<Digest> digest = HashFd(fd_.get(), HashAlg::kSha256, {.bytes = &bytes});
  ASSERT_TRUE(digest) << digest.error().Message();
  EXPECT_EQ(*digest, Hash(HashAlg::kSha256, AsBytes(text_)));
  EXPECT_EQ(bytes, text_.size());
  EXPECT_EQ(lseek(fd_.get(), 0, SEEK_CUR), 7);
}

TEST_F(HashFdTest, TheCallerMayGiveUpBetweenBlocks) {
  int asked = 0;
  std::uint64_t bytes = 0;
  const auto once = [&]() -> Result<> {
    if (++asked == 2) return Fail(StateError(IoError::kEof, "given up"));
    return {};
  };
  const Result<Digest> digest = HashFd(fd_.get(), HashAlg::kSha256, {.before_block = once, .bytes = &bytes});
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().code(), "io.eof");
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(bytes, std::size_t{128} << 10);
}

TEST_F(HashFdTest, NothingAndWhatCannotBeRead) {
  ASSERT_EQ(ftruncate(fd_.get(), 0), 0);
  const Result<Digest> empty = HashFd(fd_.get(), HashAlg::kSha1);
  ASSERT_TRUE(empty);
  EXPECT_EQ(*empty, Hash(HashAlg::kSha1, {}));
  const Result<Digest> none = HashFd(-1, HashAlg::kSha256);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), "os.pread");
}

}  // namespace
}  // namespace assay
