#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "base/bytes.h"
#include "base/fd.h"
#include "reference/reference_testing.h"
#include "reference/rpm_file.h"
#include "reference/source.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

TEST(RpmVersions, AreInRpmsOrder) {
  // Each is older than the next one (rpm-version(7), and rpm's own tests' kinds).
  const std::vector<std::string> ascending{
      "1.0~rc1~a-1", "1.0~rc1-1",   "1.0-1",  "1.0^20240101-1", "1.0a-1", "1.0.1-1", "1.1-1.el9", "1.1-1.1",
      "1.2-1.el9",   "1.2-1.el9_1", "1.10-1", "1.10.a-1",       "2.a-1",  "2.0-1",   "1:0.1-1",   "10:0.1-1"};
  const bool rpm = access("/usr/bin/rpm", X_OK) == 0;
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      const int order = CompareRpmVersions(ascending[i], ascending[j]);
      const int sign = order < 0 ? -1 : order > 0 ? 1 : 0;
      EXPECT_EQ(sign, i < j ? -1 : i > j ? 1 : 0) << ascending[i] << " " << ascending[j];
    }
  }
  // rpm itself says the same.
  for (std::size_t i = 0; rpm && i + 1 < ascending.size(); ++i) {
    const auto said = RunProgram(
        {"rpm", "--eval", "%{lua:print(rpm.vercmp('" + ascending[i] + "', '" + ascending[i + 1] + "'))}"},
        "/");
    ASSERT_TRUE(said && said->exit_code == 0);
    EXPECT_EQ(said->out, "-1\n") << ascending[i] << " " << ascending[i + 1];
  }
  EXPECT_EQ(CompareRpmVersions("0:1.0-1", "1.0-01"), 0);
  EXPECT_EQ(CompareRpmVersions("1.0-1", "1_0-1"), 0);
}

class Rpms : public ReferenceFixture {
 protected:
  void SetUp() override {
    ReferenceFixture::SetUp();
    if (access("/usr/bin/rpmbuild", X_OK) != 0) GTEST_SKIP() << "rpmbuild is not installed";
  }
  // A package made by rpmbuild itself.
  std::string Make(const std::string& version, const std::string& more = "",
                   const std::string& algorithm = "8") {
    Put("/tool.spec",
        "Name: tool\nVersion: " + version + "\nRelease: 2.el9\nSummary: x\nLicense: x\nBuildArch: noarch\n" +
            more +
            "%description\nx\n%install\nmkdir -p %{buildroot}/usr/bin %{buildroot}/etc\n"
            "printf 'tool %{version}' > %{buildroot}/usr/bin/tool\n"
            "printf conf > %{buildroot}/etc/tool.conf\nln -s tool %{buildroot}/usr/bin/link\n"
            "%files\n/usr/bin/tool\n/usr/bin/link\n%config /etc/tool.conf\n%ghost /var/tool.log\n");
    const auto o = RunProgram({"rpmbuild", "-bb", "--define", "_topdir " + dir_ + "/rpm", "--define",
                               "_binary_filedigest_algorithm " + algorithm, "--define",
                               "__os_install_post %{nil}", dir_ + "/tool.spec"},
                              dir_);
    EXPECT_TRUE(o && o->exit_code == 0) << (o ? o->err : o.error().Message());
    return dir_ + "/rpm/RPMS/noarch/tool-" + version + "-2.el9.noarch.rpm";
  }
};

TEST_F(Rpms, FilesByTheHeader) {
  const auto content = ReadRpm(Make("1.9", "Epoch: 3\n"));
  ASSERT_THAT(content, IsOk());
  EXPECT_EQ(content->package, "tool");
  EXPECT_EQ(content->version, "3:1.9-2.el9");
  EXPECT_EQ(content->architecture, "noarch");
  EXPECT_EQ(content->source, "tool-1.9-2.el9.src.rpm");
  ASSERT_EQ(content->files.size(), 2U);
  EXPECT_EQ(content->files[0].path, "/etc/tool.conf");
  EXPECT_EQ(content->files[0].digest, DigestOf("conf"));
  EXPECT_EQ(content->files[1].path, "/usr/bin/tool");
  EXPECT_EQ(content->files[1].digest, DigestOf("tool 1.9"));
}

// By rpm's order and not by Debian's, also in an index that is built anew from an earlier one.
TEST_F(Rpms, TheLatestVersionOfAPath) {
  Builder b;
  ASSERT_THAT(b.Add(*RpmSource(Make("1.0^1"))), IsOk());
  ASSERT_THAT(b.Add(*RpmSource(Make("1.0"))), IsOk());
  const auto index = Written(b);
  EXPECT_EQ(index->FindPath("/usr/bin/tool")->version, "1.0^1-2.el9");
  EXPECT_TRUE(index->IsOlder("tool", "1.0-2.el9", "1.0^1-2.el9"));
  Builder again;
  again.AddFormer(*index, Builder::Former::kOfAdded, 0, 365);
  EXPECT_EQ(Written(again)->FindPath("/usr/bin/tool")->version, "1.0^1-2.el9");
}

TEST_F(Rpms, OtherDigestsAreRefused) { EXPECT_THAT(ReadRpm(Make("1", "", "10")), FailsWith("parse.rpm")); }

TEST_F(Rpms, WhatIsAlteredIsRefused) {
  const Bytes whole = *ReadFile(Make("1"), 1 << 20);
  ASSERT_THAT(ReadRpmBytes(whole, "x"), IsOk());
  // The header says how long it is; the payload follows.
  const std::size_t header = AsText(ByteView(whole).subspan(200)).find("\x8e\xad\xe8\x01") + 200;
  Reader sizes(ByteView(whole).subspan(header + 8, 8), "rpm");
  const std::uint32_t entries = *sizes.U32Be(), store = *sizes.U32Be();
  const std::size_t payload = header + 16 + std::size_t{16} * entries + store;
  ASSERT_LT(payload, whole.size());
  ASSERT_THAT(ReadRpmBytes(ByteView(whole).first(payload), "x"), IsOk());
  for (std::size_t i = header; i < payload; i += 3) {
    Bytes bad = whole;
    bad[i] ^= 0x41;
    EXPECT_THAT(ReadRpmBytes(bad, "x"), FailsWith("parse.rpm")) << i;
    EXPECT_THAT(ReadRpmBytes(ByteView(whole).first(i), "x"), FailsWith("parse.rpm")) << i;
  }
}

// A header of these values one after the other, with its own digest: for what rpmbuild would not write.
struct Value {
  std::uint32_t tag, type, count;
  std::string bytes;
  std::optional<std::uint32_t> at = std::nullopt;  // the offset, where it is not the value's own
};
Bytes Package(const std::vector<Value>& values) {
  std::string store;
  Writer index;
  for (const Value& v : values) {
    index.U32Be(v.tag)
        .U32Be(v.type)
        .U32Be(v.at.value_or(static_cast<std::uint32_t>(store.size())))
        .U32Be(v.count);
    store += v.bytes;
  }
  Writer h;
  h.U32Be(0x8EADE801).U32Be(0).U32Be(static_cast<std::uint32_t>(values.size()));
  h.U32Be(static_cast<std::uint32_t>(store.size())).Put(index.bytes()).Put(store);
  const std::string digest = Hash(HashAlg::kSha256, h.bytes()).hex() + std::string(1, '\0');
  Writer out;
  out.U32Be(0xEDABEEDB).Put(Bytes(92));
  out.U32Be(0x8EADE801).U32Be(0).U32Be(1).U32Be(static_cast<std::uint32_t>(digest.size()));
  out.U32Be(273).U32Be(6).U32Be(0).U32Be(1).Put(digest).Put(Bytes((8 - (32 + digest.size()) % 8) % 8));
  out.Put(h.bytes());
  return out.Take();
}

std::string Zero(const std::string& text) { return text + std::string(1, '\0'); }
std::string Big(std::uint32_t n) {
  Writer w;
  w.U32Be(n);
  return std::string(AsText(w.bytes()));
}

const std::vector<Value>& Good() {
  static const std::vector<Value> kGood{{1000, 6, 1, Zero("tool")},
                                        {1001, 6, 1, Zero("1")},
                                        {1002, 6, 1, Zero("2")},
                                        {1044, 6, 1, Zero("t.src.rpm")}};
  return kGood;
}
Result<PackageContent> With(const std::vector<Value>& more) {
  std::vector<Value> all = Good();
  all.insert(all.end(), more.begin(), more.end());
  return ReadRpmBytes(Package(all), "x");
}
// A package of one file.
Result<PackageContent> OfFile(const std::string& folder, const std::string& name, std::uint32_t in = 0) {
  return With({{1116, 4, 1, Big(in)},
               {1037, 4, 1, Big(0)},
               {5011, 4, 1, Big(8)},
               {1030, 3, 1, std::string("\x81\xa4", 2)},
               {1117, 8, 1, Zero(name)},
               {1118, 8, 1, Zero(folder)},
               {1035, 8, 1, Zero(std::string(64, 'a'))}});
}

TEST(RpmHeaders, WhatIsHostileIsRefused) {
  const auto content = ReadRpmBytes(Package(Good()), "x");
  ASSERT_THAT(content, IsOk());
  EXPECT_EQ(content->version, "1-2");
  EXPECT_THAT(With({{1005, 6, 1, "", 2}}), FailsWith("parse.rpm"));            // over another
  EXPECT_THAT(With({{1005, 7, 19, "", 0}}), FailsWith("parse.rpm"));           // over all
  EXPECT_THAT(With({{1005, 7, 1, ""}}), FailsWith("parse.rpm"));               // behind the end
  EXPECT_THAT(With({{1005, 4, 0x40000001, "abcd"}}), FailsWith("parse.rpm"));  // 4 GiB and more
  EXPECT_THAT(With({{1005, 6, 1, "", 0xFFFFFFFF}}), FailsWith("parse.rpm"));
  EXPECT_THAT(With({{1005, 6, 1, "no end"}}), FailsWith("parse.rpm"));
  EXPECT_THAT(With({{1005, 8, 2, Zero("one of two")}}), FailsWith("parse.rpm"));
  EXPECT_THAT(With({{1000, 6, 1, Zero("again")}}), FailsWith("parse.rpm"));  // a tag twice
  EXPECT_THAT(With({{1005, 77, 1, "x"}}), FailsWith("parse.rpm"));
  EXPECT_THAT(With({{63, 7, 16, std::string(16, 'x')}}), FailsWith("parse.rpm"));  // a region at the end
  EXPECT_THAT(ReadRpmBytes({}, "x"), FailsWith("parse.rpm"));
  const auto file = OfFile("/usr/bin/", "tool");
  ASSERT_THAT(file, IsOk());
  ASSERT_EQ(file->files.size(), 1U);
  EXPECT_EQ(file->files[0].path, "/usr/bin/tool");
  EXPECT_THAT(OfFile("/usr/bin/", "../../etc/passwd"), FailsWith("parse.rpm"));
  EXPECT_THAT(OfFile("usr/", "tool"), FailsWith("parse.rpm"));
  EXPECT_THAT(OfFile("/usr/bin/", "tool", 1), FailsWith("parse.rpm"));  // in no folder
}

}  // namespace
}  // namespace assay::reference
