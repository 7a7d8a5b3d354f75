#include "cli/scrub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Scrub, TakesSecretsOutOfText) {
  Scrubber s({"hunter2", "abc"});
  const std::string text =
      "all is well\n"
      "tpm password=correct-horse, engine lsm\n"
      "{\"Secret\": \"battery\", \"pcr\": 10}\n"
      "the owner wrote hunter2 twice: hunter2\n"
      "fetching https://bob:staple@mirror.example/debian\n"
      "-----BEGIN PRIVATE KEY-----\nMIIabcdef\nghijkl\n-----END PRIVATE KEY-----\n"
      "in one line -----BEGIN EC PRIVATE KEY-----\\x0aMIIxyz\\x0a-----END EC PRIVATE KEY-----\n"
      "a.json:3: not JSON: invalid literal; last read: '\"swordfish'\n"
      "the end\n";
  const std::string out = s.Text(text);
  for (const char* secret : {"correct-horse", "battery", "hunter2", "staple", "MII", "ghijkl", "swordfish"})
    EXPECT_THAT(out, Not(HasSubstr(secret)));
  for (const char* kept : {"all is well\n", "engine lsm", "\"pcr\": 10", "mirror.example/debian",
                           "in one line ", "a.json:3: not JSON", "the end\n"})
    EXPECT_THAT(out, HasSubstr(kept));
  EXPECT_GE(s.withheld(), 6U);
  EXPECT_EQ(Scrubber({}).Text(std::string(10'000, 'x')).size(), 4097U);
}

TEST(Scrub, KeepsOfAConfigurationWhatAssaydKnows) {
  Scrubber s({});
  const std::string out = s.Configuration(R"({ // the password is hunter2
    "engine": {"scope": "host", "extensions": [".py"], "workers": 2},
    "tpm": {"tcti": "device:/dev/tpmrm0", "owner_password_file": "/etc/assay/owner", "pw": "hunter3", "pin": 4711},
    "serve": {"listen": "192.0.2.7:7443", "key": "-----BEGIN PRIVATE KEY-----MII", "allow": {"3b0c": "full"}}})");
  for (const char* secret : {"hunter2", "hunter3", "4711", "MII"}) EXPECT_THAT(out, Not(HasSubstr(secret)));
  for (const char* kept :
       {R"("scope": "host")", R"(".py")", R"("workers": 2)", "device:/dev/tpmrm0", "/etc/assay/owner",
        "192.0.2.7:7443", R"("3b0c": "full")", R"re("pw": "(withheld)")re"})
    EXPECT_THAT(out, HasSubstr(kept));
  EXPECT_EQ(s.Configuration("{ \"a\": hunter2"), "");
}

}  // namespace
}  // namespace assay::cli
