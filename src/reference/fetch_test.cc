#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/result_testing.h"
#include "reference/index.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

class FetchTest : public ReferenceFixture {};

// A program that prints a text, as the first of its name in PATH.
class FakeApt {
 public:
  FakeApt(const std::string& folder, const std::string& text) {
    const char* path = getenv("PATH");
    path_ = path == nullptr ? "/usr/bin:/bin" : path;
    std::ofstream(folder + "/apt-cache") << "#!/bin/sh\n[ \"$1\" = madison ] || exit 0\ncat <<E\n"
                                         << text << "E\n";
    chmod((folder + "/apt-cache").c_str(), 0755);
    setenv("PATH", (folder + ":" + path_).c_str(), 1);
  }
  ~FakeApt() { setenv("PATH", path_.c_str(), 1); }
  FakeApt(const FakeApt&) = delete;
  FakeApt& operator=(const FakeApt&) = delete;

 private:
  std::string path_;
};

TEST_F(FetchTest, MissingPackagesAreOfThreeKinds) {
  const FakeApt apt(dir_,
                    "    nodejs | 18.20.4+dfsg-1 | http://deb.example bookworm/main amd64 Packages\n"
                    "      bash |   1:5.2-2 | http://deb.example bookworm/main amd64 Packages\n"
                    "      bash |   1:5.1-1 | http://deb.example bookworm/main amd64 Packages\n");
  const auto report = FetchDebs(
      {{"nodejs", "20.11.1-1nodesource1", "amd64"}, {"bash", "1:5.2-1", "amd64"}, {"own", "1.0", "all"}},
      dir_ + "/debs", nullptr);
  ASSERT_THAT(report, IsOk());
  ASSERT_EQ(report->missing.size(), 3U);
  EXPECT_EQ(report->missing[0].why, Missing::kNewer);
  EXPECT_EQ(report->missing[0].available, "18.20.4+dfsg-1");
  EXPECT_EQ(report->missing[1].why, Missing::kSuperseded);
  EXPECT_EQ(report->missing[1].available, "1:5.2-2");
  EXPECT_EQ(report->missing[2].why, Missing::kThirdParty);
  EXPECT_EQ(MissingName(report->missing[2].why), "third-party");
}

// The archive has a newer version, and the folder still has the file of the installed one.
TEST_F(FetchTest, AKeptFileOfTheInstalledVersionIsUsed) {
  const FakeApt apt(dir_, "      tool |   1:2 | http://deb.example bookworm/main amd64 Packages\n");
  const std::string folder = dir_ + "/debs";
  const std::string kept = folder + "/tool_1%3a1_amd64.deb";
  std::filesystem::create_directories(folder);
  Put("/tool/usr/bin/tool", "content");
  std::filesystem::rename(MakeDeb("tool", "1:1"), kept);
  const auto fetch = [&] { return FetchDebs({{"tool", "1:1", "amd64"}}, folder, nullptr); };
  auto report = fetch();
  ASSERT_THAT(report, IsOk());
  EXPECT_TRUE(report->missing.empty());
  ASSERT_EQ(report->kept.size(), 1U);
  EXPECT_EQ(report->kept[0].file, kept);
  EXPECT_EQ(report->files, std::vector<std::string>{kept});

  chmod(kept.c_str(), 0666);  // anybody could have written it
  report = fetch();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->missing.size(), 1U);
  EXPECT_TRUE(report->files.empty());

  std::filesystem::rename(MakeDeb("tool", "1:0"), kept);  // another version under its name
  report = fetch();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->missing.size(), 1U);
}

TEST_F(FetchTest, FilesOfOtherVersionsAreRemoved) {
  const std::string folder = dir_ + "/debs";
  std::filesystem::create_directories(folder + "/partial");
  for (const char* name : {"tool_1_amd64.deb", "tool_2_amd64.deb", "notes"})
    std::ofstream(folder + "/" + name) << "content";
  ASSERT_THAT(RemoveOtherDebs(folder, {folder + "/tool_2_amd64.deb"}), IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder + "/tool_1_amd64.deb"));
  for (const char* name : {"tool_2_amd64.deb", "notes", "partial"})
    EXPECT_TRUE(std::filesystem::exists(folder + "/" + name)) << name;
  EXPECT_FALSE(RemoveOtherDebs(dir_ + "/none", {}));
}

}  // namespace
}  // namespace assay::reference
