#include "daemon/network_user.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/folder_testing.h"
#include "base/result_testing.h"

namespace assay::daemon {
namespace {

class NetworkUserTest : public FolderTest {
 protected:
  Result<NetworkUser> Of(const std::string& lines) {
    const std::string path = dir_ + "/passwd";
    std::ofstream(path) << "root:x:0:0:root:/root:/bin/bash\n" << lines;
    return FindNetworkUser(path);
  }
};

TEST_F(NetworkUserTest, IsThePackagesOwn) {
  const auto user = Of(
      "_assay-net-2:x:7:7::/:/none\n_assay-net:x:997:996:network:/:/usr/sbin/nologin\nann:x:1000:1000::/:\n");
  ASSERT_THAT(user, IsOk());
  EXPECT_EQ(user->uid, 997U);
  EXPECT_EQ(user->gid, 996U);
}

TEST_F(NetworkUserTest, IsNobodyWhereThePackageMadeNone) {
  for (const char* lines : {"", "ann:x:1000:1000::/:\n", "_assay-net\n", "_assay-net:x:many:1::/:\n"}) {
    const auto user = Of(lines);
    ASSERT_THAT(user, IsOk());
    EXPECT_EQ(user->uid, 65534U) << lines;
    EXPECT_EQ(user->gid, 65534U) << lines;
  }
}

TEST_F(NetworkUserTest, IsNeverRoot) {
  EXPECT_THAT(Of("_assay-net:x:0:997::/:\n"), FailsWith("config.network-user"));
  EXPECT_THAT(Of("_assay-net:x:997:0::/:\n"), FailsWith("config.network-user"));
  EXPECT_FALSE(FindNetworkUser(dir_ + "/none"));
}

}  // namespace
}  // namespace assay::daemon
