#include "measure/policy/instrumented.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/digest.h"
#include "base/fd.h"
#include "base/folder_testing.h"
#include "base/result_testing.h"

namespace assay::measure {
namespace {

using Hooks = std::map<std::string, std::string>;

class InstrumentedTest : public FolderTest {};

TEST_F(InstrumentedTest, ByPathByLinkAndAsACopy) {
  const std::string program = dir_ + "/python3.11", link = dir_ + "/python3";
  ASSERT_THAT(WriteFileAtomic(program, AsBytes("interpreter")), IsOk());
  std::filesystem::create_symlink(program, link);
  Instrumented programs(Hooks{{link, "python"}});
  EXPECT_EQ(programs.HookOf(0), "python");
  const Digest same = Hash(HashAlg::kSha256, AsBytes("interpreter"));
  const Digest other = Hash(HashAlg::kSha256, AsBytes("other texts"));
  EXPECT_EQ(programs.Of(program, 11, nullptr), 0U);
  EXPECT_EQ(programs.Of(link, 11, nullptr), 0U);
  EXPECT_EQ(programs.Of("/tmp/copy", 11, nullptr), std::nullopt);
  EXPECT_EQ(programs.Of("/tmp/copy", 11, &same), 0U);
  EXPECT_EQ(programs.Of("/tmp/copy", 12, &same), std::nullopt);
  EXPECT_EQ(programs.Of("/tmp/copy", 11, &other), std::nullopt);
  // An upgrade: another content is at the path.
  ASSERT_THAT(WriteFileAtomic(program, AsBytes("other texts")), IsOk());
  EXPECT_EQ(programs.Of("/tmp/copy", 11, &other), 0U);
}

TEST(Instrumented, AProgramThatIsNotInstalledIsKnownByItsPathOnly) {
  Instrumented programs(Hooks{{"/nonexistent/java", "java"}});
  const Digest nothing = Hash(HashAlg::kSha256, {});
  EXPECT_EQ(programs.Of("/nonexistent/java", 0, nullptr), 0U);
  EXPECT_EQ(programs.Of("/tmp/empty", 0, &nothing), std::nullopt);
}

}  // namespace
}  // namespace assay::measure
