#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <iterator>
#include <sstream>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/result_testing.h"
#include "cli/commands.h"

namespace assay::cli {

namespace {

int Keys(const std::string& arguments) {
  std::istringstream words(arguments);
  Session session;
  CommandLine line("");
  Command app = line.root();
  app.TakeOptionsAnywhere();
  app.AddFlag("--json", session.json);
  AddKeys(app, session);
  EXPECT_THAT(line.Parse({std::istream_iterator<std::string>(words), {}}), IsOk());
  return session.exit_code;
}

TEST(Keys, AreMadeOnceAndShown) {
  char name[] = "/tmp/assay-keys.XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string dir = name;
  EXPECT_EQ(Keys("keys make --name v --out " + dir + "/sub"), kExitOk);
  struct stat info{};
  ASSERT_EQ(stat((dir + "/sub/v.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  ASSERT_EQ(stat((dir + "/sub/v.crt").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644U);
  const Bytes pem = ReadFile(dir + "/sub/v.crt", 1 << 16).value();
  EXPECT_EQ(CertificateCommonName(CertificateFromPem(AsText(pem)).value().get()), "v");
  EXPECT_EQ(CertificateValidity(CertificateFromPem(AsText(pem)).value().get())->not_after.size(), 20U);
  // The public key is the private one's, as a signature shows.
  const PrivateKey key = PrivateKey::FromPem(AsText(ReadFile(dir + "/sub/v.key", 1 << 16).value())).value();
  const PublicKey pub = PublicKey::FromPem(AsText(ReadFile(dir + "/sub/v.pub", 1 << 16).value())).value();
  EXPECT_THAT(pub.VerifyEs256(AsBytes("x"), key.SignEs256(AsBytes("x")).value()), IsOk());

  EXPECT_EQ(Keys("keys make --name v --out " + dir + "/sub"), kExitUsage);
  EXPECT_EQ(ReadFile(dir + "/sub/v.crt", 1 << 16).value(), pem);
  EXPECT_EQ(Keys("keys make --name v --force --out " + dir + "/sub"), kExitOk);
  EXPECT_NE(ReadFile(dir + "/sub/v.crt", 1 << 16).value(), pem);
  EXPECT_EQ(Keys("keys make --name a/b --out " + dir), kExitUsage);
  EXPECT_EQ(Keys("--json keys show " + dir + "/sub/v.crt"), kExitOk);
  EXPECT_EQ(Keys("keys show " + dir + "/sub/v.key"), kExitError);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace assay::cli
