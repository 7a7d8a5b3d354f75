#include "measure/system/bpf_entry.h"

#include <gtest/gtest.h>

#include "base/crypto.h"

namespace assay::measure {
namespace {

TEST(BpfEntryTest, TheLoaderComesBack) {
  const Digest loader = Hash(HashAlg::kSha256, AsBytes("systemd"));
  for (const char* program : {"sd_devices", "", "a.b_c"}) {
    const std::string name = BpfEntryName(program, loader);
    EXPECT_EQ(name, std::string("bpf-prog:") + program + "@" + loader.ToString());
    EXPECT_EQ(BpfLoader(name), loader);
  }
}

TEST(BpfEntryTest, OtherNamesHaveNone) {
  const std::string digest = Hash(HashAlg::kSha256, AsBytes("systemd")).ToString();
  EXPECT_EQ(BpfEntryName("sd_devices", std::nullopt), "bpf-prog:sd_devices");
  for (const std::string& name :
       {std::string("bpf-prog:sd_devices"), std::string("bpf-prog:"), "bpf-prog:a@" + digest.substr(0, 70),
        "bpf-prog:a@" + digest + "0", "bpf-prog:a@b@" + digest, "/tmp/bpf-prog:a@" + digest, "a@" + digest,
        std::string("bpf-prog:a@"), std::string("bpf-prog:a@md9:00")})
    EXPECT_FALSE(BpfLoader(name)) << name;
}

}  // namespace
}  // namespace assay::measure
