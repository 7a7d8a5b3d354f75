// The writer of an index: the same file whatever its memory, and the last one when a build is killed; and
// what a check of the whole file finds.
#include "reference/index_writer.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>

#include "base/thread.h"
#include "reference/index_tables.h"
#include "reference/reference_testing.h"

namespace assay::reference {
namespace {

struct IndexWriterTest : ReferenceFixture {
  static constexpr std::uint32_t kPackages = 40, kFiles = 60;
  static IndexedPackage PackageOf(std::uint32_t i, const std::string& version) {
    IndexedPackage p{
        .package = fmt::format("p{:03}", i), .version = version, .architecture = "amd64", .note = ""};
    if (i % 3 == 1) p.since_ms = 1'700'000'000'000;
    if (i % 5 == 0) {
      p.advisories = {{.id = "CVE-1", .record = "", .severity = "high", .fixed = "2"}};
      p.advisory_count = 1;
    }
    return p;
  }
  static std::string PathOf(std::uint32_t package, std::uint32_t file) {
    if (file == 0) return "/bin/shared";  // of all packages
    return fmt::format("{}/lib/folder {}/{}{}", file % 2 == 0 ? "" : "/usr", package % 7,
                       std::string(file * 7, 'x'), file);
  }
  static Digest ContentOf(std::uint32_t package, std::uint32_t file, const std::string& version) {
    return DigestOf(file == 1 ? "the same" : fmt::format("{} {} {}", package, file, version));
  }
  static Result<> Fill(IndexWriter& writer, const std::string& version, bool backwards = false) {
    for (std::uint32_t i = 0; i < kPackages; ++i) ASSAY_TRY(writer.AddPackage(PackageOf(i, version)));
    for (std::uint32_t n = 0; n < kPackages * kFiles; ++n) {
      const std::uint32_t at = backwards ? kPackages * kFiles - 1 - n : n;
      const std::uint32_t i = at / kFiles;
      const std::uint32_t f = at % kFiles;
      ASSAY_TRY(writer.AddFile(i, PathOf(i, f), ContentOf(i, f, version), f == 2 ? 3 : 0));
    }
    return {};
  }
  Result<> Build(const std::string& file, const std::string& version, std::size_t memory = 4096) {
    ASSAY_ASSIGN(IndexWriter writer, IndexWriter::Make(dir_, memory));
    ASSAY_TRY(Fill(writer, version));
    return writer.Write(file);
  }
};

TEST_F(IndexWriterTest, MemoryAndOrderChangeNoByte) {
  std::vector<Bytes> files;
  for (const std::size_t memory : {std::size_t{1}, std::size_t{5000}, IndexWriter::kMemory}) {
    for (const bool backwards : {false, true}) {
      auto writer = IndexWriter::Make(memory == 5000 ? "" : dir_, memory);
      ASSERT_THAT(writer, IsOk());
      ASSERT_THAT(Fill(*writer, "1", backwards), IsOk());
      auto file = writer->Encode();
      ASSERT_THAT(file, IsOk());
      files.push_back(std::move(*file));
    }
  }
  for (const Bytes& file : files) EXPECT_EQ(file, files.front());
  const auto index = Index::OfBytes(files.front());
  ASSERT_THAT(index, IsOk());
  EXPECT_THAT((*index)->CheckAll(), IsOk());
}

TEST_F(IndexWriterTest, AllIsFound) {
  ASSERT_THAT(Build(dir_ + "/x.idx", "1"), IsOk());
  const auto index = Index::Open(dir_ + "/x.idx");
  ASSERT_THAT(index, IsOk());
  for (std::uint32_t i = 0; i < kPackages; ++i) {
    for (std::uint32_t f = 0; f < kFiles; ++f) {
      const auto origins = (*index)->Find(ContentOf(i, f, "1"));
      ASSERT_EQ(origins.size(), f == 1 ? kPackages : 1U);
      EXPECT_EQ(origins.at(f == 1 ? i : 0).path, PathOf(i, f));
      EXPECT_EQ(origins.at(f == 1 ? i : 0).package, fmt::format("p{:03}", i));
      EXPECT_FALSE((*index)->Knows(ContentOf(i, f + 1000, "1")));
    }
    // Folders have the names of several packages, of which the last that is present counts.
    const auto there = (*index)->FindPath(PathOf(i, 4));
    ASSERT_TRUE(there);
    EXPECT_EQ(there->path, PathOf(i, 4));
    EXPECT_EQ(there->since_ms, 0U);
    EXPECT_FALSE((*index)->FindPath(PathOf(i, 4) + "!"));
  }
  EXPECT_EQ((*index)->FindPath("/usr/bin/shared")->package, "p039");
  EXPECT_EQ((*index)->FindPath("/bin/shared")->path, "/bin/shared");
  EXPECT_FALSE((*index)->AllowedViolations(ContentOf(3, 2, "1")).empty());
  EXPECT_TRUE((*index)->AllowedViolations(ContentOf(3, 3, "1")).empty());
  EXPECT_FALSE((*index)->FindPath(""));
}

// The kernel ends the build when its file would become larger than the limit: at each of these sizes.
TEST_F(IndexWriterTest, AKilledBuildLeavesTheLastSnapshot) {
  const std::string file = dir_ + "/x.idx";
  ASSERT_THAT(Build(file, "1"), IsOk());
  const Bytes last = *ReadFile(file, 1 << 24);
  int killed = 0;
  for (std::size_t limit = 0; limit <= last.size() * 2; limit += std::max<std::size_t>(1, last.size() / 20)) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const rlimit size{.rlim_cur = limit, .rlim_max = limit};
      const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
      std::signal(SIGXFSZ, SIG_DFL);
      if (setrlimit(RLIMIT_CORE, &no_core) != 0 || setrlimit(RLIMIT_FSIZE, &size) != 0) _exit(2);
      _exit(Build(file, "2") ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
      ++killed;
      EXPECT_EQ(*ReadFile(file, 1 << 24), last) << limit;
    } else {
      ASSERT_EQ(status, 0);
      const auto index = Index::Open(file);
      ASSERT_THAT(index, IsOk());
      EXPECT_TRUE((*index)->Knows(ContentOf(0, 0, "2")));
      EXPECT_THAT((*index)->CheckAll(), IsOk());
      break;
    }
  }
  EXPECT_GT(killed, 10);
  for (const auto& entry : std::filesystem::directory_iterator(dir_))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".assay-spill")) << entry.path();
}

// A reader keeps the index that it has opened while new ones take its place.
TEST_F(IndexWriterTest, ASwapUnderLoadIsSeenWholeOrNotAtAll) {
  const std::string file = dir_ + "/x.idx";
  ASSERT_THAT(Build(file, "0"), IsOk());
  const auto kept = Index::Open(file);
  ASSERT_THAT(kept, IsOk());
  std::atomic<bool> done{false};
  std::atomic<unsigned> opened{0}, wrong{0};
  const auto whole = [&](const Index& index) {
    // All of the content is of one version.
    const std::string version = index.Packages().front().version;
    for (std::uint32_t i = 0; i < kPackages; i += 3)
      if (!index.Knows(ContentOf(i, 5, version)) || !index.FindPath(PathOf(i, 4))) return false;
    return true;
  };
  {
    std::vector<Thread> readers;
    for (int t = 0; t < 2; ++t)
      readers.push_back(Thread("reader", [&] {
        while (!done) {
          const auto index = Index::Open(file);
          if (!index || !whole(**index) || !whole(**kept)) ++wrong;
          ++opened;
        }
      }));
    for (unsigned v = 1; v <= 20 || opened < 20; ++v) {
      if (const auto built = Build(file, std::to_string(v)); !built) ++wrong;
    }
    done = true;
  }
  EXPECT_EQ(wrong, 0U);
  EXPECT_TRUE((*kept)->Knows(ContentOf(0, 5, "0")));
  EXPECT_THAT((*kept)->CheckAll(), IsOk());
}

// The worked example of docs/formats/index.md, whose checksums another program has calculated.
TEST_F(IndexWriterTest, TheExampleOfTheDocument) {
  auto writer = IndexWriter::Make("");
  ASSERT_THAT(writer->AddPackage({.package = "p", .version = "1", .architecture = "", .note = ""}), IsOk());
  ASSERT_THAT(writer->AddFile(0, "/tmp/app/a", DigestOf("hi"), 0), IsOk());
  const auto index = Index::OfBytes(*writer->Encode());
  ASSERT_THAT(index, IsOk());
  EXPECT_EQ((*index)->Fingerprint(), "c4c3cb7fd8d3b693d84fe4a968bce290bc1bb3f73c2f7f6dcb99ee07d597cfe7");
}

// A damaged header or a wrong size is seen at once, any other damage by the check.
TEST_F(IndexWriterTest, TheCheckFindsEachDamagedByte) {
  auto writer = IndexWriter::Make("");
  ASSERT_THAT(writer->AddPackage(PackageOf(0, "1")), IsOk());
  ASSERT_THAT(writer->AddFile(0, "/usr/bin/a", DigestOf("a"), 1), IsOk());
  const auto good = writer->Encode();
  ASSERT_THAT(good, IsOk());
  for (std::size_t i = 0; i < good->size(); i += i < 1300 ? 1 : 3) {
    Bytes bad = *good;
    bad[i] ^= 1;
    const auto index = Index::OfBytes(std::move(bad));
    ASSERT_EQ(index.has_value(), i >= sizeof(Header)) << i;
    if (index) {
      EXPECT_THAT((*index)->CheckAll(), FailsWith("parse.index")) << i;
    }
  }
}

// The tables of another build have checksums that fit, and say other things than each other.
TEST_F(IndexWriterTest, TheCheckComparesTheTables) {
  auto writer = IndexWriter::Make("");
  for (std::uint32_t i = 0; i < 3; ++i) ASSERT_THAT(writer->AddPackage(PackageOf(i, "1")), IsOk());
  for (std::uint32_t f = 0; f < 40; ++f)
    ASSERT_THAT(writer->AddFile(f % 3, PathOf(f % 3, f), ContentOf(0, f, "1"), f == 3 ? 1 : 0), IsOk());
  const Bytes good = *writer->Encode();
  Header h{};
  std::memcpy(&h, good.data(), sizeof(h));
  const auto checked = [&](std::uint64_t at, std::uint8_t value) {
    Bytes bytes = good;
    Header of = h;
    bytes[at] = value;
    const Digest content = Hash(HashAlg::kSha256, ByteView(bytes).subspan(sizeof(Header)));
    std::copy_n(content.view().begin(), 32, of.content.begin());
    std::memcpy(bytes.data(), &of, sizeof(of));
    const Digest check = Hash(HashAlg::kSha256, ByteView(bytes).first(offsetof(Header, check)));
    std::copy_n(check.view().begin(), 32, bytes.begin() + offsetof(Header, check));
    const auto index = Index::OfBytes(std::move(bytes));
    EXPECT_THAT(index, IsOk());
    return index ? (*index)->CheckAll() : Result<>();
  };
  EXPECT_THAT(checked(h.digests_at, good[h.digests_at]), IsOk());
  EXPECT_THAT(checked(h.digests_at + 32, 0), FailsWith("parse.index"));     // does not ascend
  EXPECT_THAT(checked(h.ranges_at + 4, 200), FailsWith("parse.index"));     // the second range
  EXPECT_THAT(checked(h.origins_at, 200), FailsWith("parse.index"));        // no such package
  EXPECT_THAT(checked(h.path_text_at + 2, 'z'), FailsWith("parse.index"));  // paths don't ascend
  EXPECT_THAT(checked(h.path_packages_at, 200), FailsWith("parse.index"));  // no such package
  EXPECT_THAT(checked(h.packages_at + 16, 9), FailsWith("parse.index"));    // no such standing
  EXPECT_THAT(checked(h.fanout_at, 1), FailsWith("parse.index"));
  std::uint64_t used = h.filter_at;
  while (good[used] == 0) ++used;
  EXPECT_THAT(checked(used, 0), FailsWith("parse.index"));               // the filter lacks a digest
  EXPECT_THAT(checked(h.allowances_at, 200), FailsWith("parse.index"));  // no such digest
}

// As the former version of the program wrote it: a header of 144 bytes, paths as strings, no filter.
Bytes VersionFour() {
  Writer strings;
  strings.U16Le(1).Put("p").U16Le(1).Put("1").U16Le(0).U16Le(10).Put("/tmp/app/a");
  HeaderV4 h{};
  h.magic = kMagicV4;
  h.digests = h.origins = h.packages = h.paths = 1;
  h.strings_size = strings.bytes().size();
  Writer file;
  file.Put(Bytes(sizeof(h)));
  const auto begin = [&](std::uint64_t& at) {
    while (file.bytes().size() % 8 != 0) file.U8(0);
    at = file.bytes().size();
  };
  const Digest digest = Hash(HashAlg::kSha256, AsBytes("hi"));
  begin(h.fanout_at);
  for (unsigned i = 0; i <= 256; ++i) file.U32Le(i > digest.view()[0] ? 1 : 0);
  begin(h.digests_at);
  file.Put(digest.view());
  begin(h.ranges_at);
  file.U32Le(0).U32Le(1);
  begin(h.origins_at);
  file.U32Le(0).U32Le(8);
  begin(h.packages_at);
  for (const std::uint32_t v : {0U, 3U, 6U, 6U, 0U, 0U, 6U, 6U, 0U, 0U, 0U}) file.U32Le(v);
  begin(h.paths_at);
  file.U32Le(8).U32Le(0);
  begin(h.strings_at);
  file.Put(strings.bytes());
  begin(h.allowances_at);
  h.allowances = 1;
  file.U32Le(0).U32Le(3);
  begin(h.advisories_at);
  h.file_size = h.advisories_at;
  Bytes bytes = file.Take();
  std::memcpy(bytes.data(), &h, sizeof(h));
  return bytes;
}

TEST_F(IndexWriterTest, IndexesOfFormerVersionsAreRead) {
  for (const char version : {'1', '2', '3', '4'}) {
    Bytes bytes = VersionFour();
    bytes[7] = static_cast<std::uint8_t>(version);  // one row of packages, so that its length does not matter
    const auto former = Index::OfBytes(std::move(bytes));
    ASSERT_THAT(former, IsOk());
    EXPECT_EQ((*former)->Find(DigestOf("hi")).at(0).package, "p");
    EXPECT_EQ((*former)->Find(DigestOf("hi")).at(0).path, "/tmp/app/a");
    EXPECT_EQ((*former)->FindPath("/tmp/app/a")->since_ms, 0U);
    EXPECT_FALSE((*former)->FindPath("/tmp/app/b"));
    EXPECT_TRUE((*former)->Contains(DigestOf("hi")));
    EXPECT_FALSE((*former)->Contains(DigestOf("ho")));
    EXPECT_EQ((*former)->Contents().at(0).files.at(0).path, "/tmp/app/a");
    EXPECT_THAT((*former)->CheckAll(), IsOk());
    EXPECT_FALSE((*former)->Fingerprint().empty());
    // The header of version 2 ends before the allowances, that of version 3 before the advisories.
    EXPECT_EQ((*former)->AllowedViolations(DigestOf("hi")).size(), version < '3' ? 0U : 2U);
    EXPECT_EQ((*former)->Packages().at(0).source, "");
  }
  for (const char version : {'0', '5', '6'}) {
    Bytes bytes = VersionFour();
    bytes[7] = static_cast<std::uint8_t>(version);
    EXPECT_THAT(Index::OfBytes(std::move(bytes)), FailsWith("parse.index"));
  }
}

}  // namespace
}  // namespace assay::reference
