#include "base/near.h"

#include <gtest/gtest.h>

#include <string>

namespace assay {
namespace {

TEST(Near, FindsWhatWasMeant) {
  const auto meant = [](std::string_view word) {
    return Nearest(word, {"allow", "listen", "certificate", "key"});
  };
  EXPECT_EQ(meant("alow"), "allow");
  EXPECT_EQ(meant("Listne"), "listen");
  EXPECT_EQ(meant("certifcate"), "certificate");
  EXPECT_EQ(meant("kex"), "key");
  EXPECT_EQ(meant("verifier"), "");
  EXPECT_EQ(meant(""), "");
  EXPECT_EQ(meant(std::string(1000, 'a')), "");
}

}  // namespace
}  // namespace assay
