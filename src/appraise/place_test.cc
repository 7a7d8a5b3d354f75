#include "appraise/place.h"

#include <gtest/gtest.h>

namespace assay::appraise {
namespace {

bool Lies(const std::string& packaged, std::string_view here) {
  Origin origin;
  origin.package = "one";
  origin.path = packaged;
  return IsPlaceOf(origin, here);
}

TEST(PlaceTest, AFileHasItsPackagedPath) {
  EXPECT_TRUE(Lies("/bin/a b", "/usr/bin/a_b"));
  EXPECT_FALSE(Lies("/usr/bin/a", "/usr/bin/b"));
  EXPECT_FALSE(Lies("/usr/bin/preinst", "/var/lib/dpkg/tmp.ci/preinst"));
}

TEST(PlaceTest, MaintainerScriptsAlsoRunBeforeTheirPackageIsInstalled) {
  const std::string info = "/var/lib/dpkg/info/";
  EXPECT_TRUE(Lies(info + "one.preinst", info + "one.preinst"));
  EXPECT_TRUE(Lies(info + "one.preinst", "/var/lib/dpkg/tmp.ci/preinst"));
  EXPECT_TRUE(Lies(info + "one:amd64.postrm", "/var/lib/dpkg/tmp.ci/postrm"));
  EXPECT_FALSE(Lies(info + "one.preinst", "/var/lib/dpkg/tmp.ci/postinst"));
  EXPECT_FALSE(Lies(info + "one.preinst", "/var/lib/dpkg/tmp.ci/preinst/x"));
  for (const std::string folder : {"/tmp/", "/var/cache/debconf/tmp.ci/"}) {
    EXPECT_TRUE(Lies(info + "one.config", folder + "one.config.aB3dEf"));
    EXPECT_TRUE(Lies(info + "one:amd64.config", folder + "one.config.aB3dEf"));
    EXPECT_FALSE(Lies(info + "one.config", folder + "one.config.aB3dEfg"));
    EXPECT_FALSE(Lies(info + "one.config", folder + "two.config.aB3dEf"));
    EXPECT_FALSE(Lies(info + "one.postinst", folder + "one.config.aB3dEf"));
  }
  EXPECT_FALSE(Lies(info + "one.config", "/home/u/one.config.aB3dEf"));
  EXPECT_FALSE(Lies(info, "/var/lib/dpkg/tmp.ci/"));
}

}  // namespace
}  // namespace assay::appraise
