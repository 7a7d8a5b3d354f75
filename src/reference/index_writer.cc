#include "reference/index_writer.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/atomic_file.h"

namespace assay::reference {
namespace {

constexpr std::uint64_t kMaxTable = UINT32_MAX;
constexpr std::size_t kSmallestBlock = std::size_t{16} << 10;

Error TooMany() { return UsageError("too many files for one index"); }

template <typename T>
ByteView RawBytes(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(T)};
}

// How a path lies in a run; its texts follow.
struct PathHead {
  std::array<std::uint8_t, 32> digest;
  std::uint32_t package, allowances, key_size, path_size;  // path_size 0: the path is the key
};

// The number of bits for which a bucket has at most kDigestsInBucket digests on average.
std::uint64_t FanoutBits(std::uint64_t digests) {
  std::uint64_t bits = kMinFanoutBits;
  while (bits < kMaxFanoutBits && digests >> bits >= kDigestsInBucket) ++bits;
  return bits;
}

// The tables that follow from the digests, which come in their order.
class DigestTables {
 public:
  DigestTables(const Header& h, Spill& fanout, Spill& filter) : h_(h), fanout_(fanout), filter_(filter) {}
  Result<> Take(const std::uint8_t* digest) {
    const std::uint64_t head = DigestHead(digest);
    for (; bucket_ <= head >> (64 - h_.fanout_bits); ++bucket_) ASSAY_TRY(fanout_.PutU32(count_));
    for (const std::uint64_t to = FilterBlockOf(head, h_.filter_blocks); block_ < to; ++block_)
      ASSAY_TRY(EndBlock());
    for (unsigned word = 0; word < present_.words.size(); ++word)
      present_.words[word] |= FilterBit(digest, word);
    ++count_;
    return {};
  }
  Result<> End() {
    for (; bucket_ <= std::uint64_t{1} << h_.fanout_bits; ++bucket_) ASSAY_TRY(fanout_.PutU32(count_));
    for (; block_ < h_.filter_blocks; ++block_) ASSAY_TRY(EndBlock());
    ASSAY_TRY(fanout_.Flush());
    return filter_.Flush();
  }

 private:
  Result<> EndBlock() {
    ASSAY_TRY(filter_.Put(RawBytes(present_)));
    present_ = {};
    return {};
  }

  const Header& h_;
  Spill &fanout_, &filter_;
  std::uint64_t bucket_ = 0, block_ = 0;
  std::uint32_t count_ = 0;
  FilterBlock present_{};
};

}  // namespace

class IndexWriter::PathRun {
 public:
  PathRun(const Spill& spill, Run run, std::size_t block) : in_(spill, run.from, run.to, block) {}
  Result<bool> Next() {
    if (in_.done()) return false;
    ASSAY_ASSIGN(const ByteView head_bytes, in_.Take(sizeof(PathHead)));
    std::memcpy(&head, head_bytes.data(), sizeof(head));
    ASSAY_ASSIGN(const ByteView texts, in_.Take(head.key_size + head.path_size));
    key.assign(AsText(texts.first(head.key_size)));
    path.assign(head.path_size == 0 ? AsText(texts) : AsText(texts.subspan(head.key_size)));
    return true;
  }
  bool operator<(const PathRun& o) const {
    const int order = key.compare(o.key);
    return order != 0 ? order < 0 : path < o.path;
  }
  PathHead head{};
  std::string key, path;

 private:
  SpillReader in_;
};

namespace {

template <typename Row>
bool IsBefore(const Row& a, const Row& b) {
  const std::uint64_t left = DigestHead(a.digest.data());
  const std::uint64_t right = DigestHead(b.digest.data());
  if (left != right) return left < right;
  if (const int order = std::memcmp(a.digest.data(), b.digest.data(), a.digest.size()); order != 0)
    return order < 0;
  return std::tie(a.package, a.path, a.allowances) < std::tie(b.package, b.path, b.allowances);
}

}  // namespace

class IndexWriter::DigestRun {
 public:
  DigestRun(const Spill& spill, Run run, std::size_t block) : in_(spill, run.from, run.to, block) {}
  Result<bool> Next() {
    if (in_.done()) return false;
    ASSAY_ASSIGN(const ByteView bytes, in_.Take(sizeof(ByDigest)));
    std::memcpy(&row, bytes.data(), sizeof(row));
    return true;
  }
  bool operator<(const DigestRun& o) const { return IsBefore(row, o.row); }
  ByDigest row{};

 private:
  SpillReader in_;
};

Result<IndexWriter> IndexWriter::Make(const std::string& folder, std::size_t memory) {
  IndexWriter w(memory);
  for (Spill* spill : {&w.path_spill_, &w.digest_spill_, &w.digests_, &w.ranges_, &w.origins_,
                       &w.path_packages_, &w.path_blocks_, &w.path_text_, &w.packages_, &w.strings_,
                       &w.allowances_, &w.advisories_, &w.fanout_, &w.filter_}) {
    ASSAY_ASSIGN(*spill, Spill::Make(folder));
  }
  return w;
}

// Text goes into strings_ when all packages are known, in this order.
std::uint32_t IndexWriter::Put(std::string_view text) {
  text = text.substr(0, UINT16_MAX);
  const auto [at, added] = texts_.try_emplace(std::string(text), static_cast<std::uint32_t>(strings_.size()));
  if (added) {
    const auto size = static_cast<std::uint16_t>(text.size());
    // A full disk is found by the Flush() of the table.
    (void)strings_.Put(RawBytes(size));
    (void)strings_.Put(AsBytes(text));
  }
  return at->second;
}

Result<> IndexWriter::AddPackage(const IndexedPackage& p) {
  const auto [list, added] = lists_.try_emplace(p.advisories, static_cast<std::uint32_t>(h_.advisories));
  if (added) {
    h_.advisories += p.advisories.size();
    for (const appraise::Advisory& a : p.advisories)
      ASSAY_TRY(advisories_.Put(RawBytes(AdvisoryRow{
          .id = Put(a.id), .record = Put(a.record), .severity = Put(a.severity), .fixed = Put(a.fixed)})));
  }
  absent_.push_back(p.since_ms != 0 || p.package == appraise::kDenied);
  ++h_.packages;
  return packages_.Put(RawBytes(PackageRow{.name = Put(p.package),
                                           .version = Put(p.version),
                                           .architecture = Put(p.architecture),
                                           .note = Put(p.note),
                                           .standing = static_cast<std::uint32_t>(p.standing),
                                           .since = static_cast<std::uint32_t>(p.since_ms / 1000),
                                           .source = Put(p.source),
                                           .source_version = Put(p.source_version),
                                           .known = static_cast<std::uint32_t>(p.known_ms / 1000),
                                           .advisory = p.advisories.empty() ? 0 : list->second,
                                           .advisories = static_cast<std::uint32_t>(p.advisories.size())}));
}

Result<> IndexWriter::AddFile(std::uint32_t package, std::string_view path, const Digest& digest,
                              std::uint32_t allowances) {
  path = path.substr(0, UINT16_MAX);
  const std::string key = appraise::NormalisePath(path);
  ByPath row{.digest = {},
             .package = package,
             .allowances = allowances,
             .key = text_.size(),
             .key_size = static_cast<std::uint32_t>(key.size()),
             .path_size = key == path ? 0 : static_cast<std::uint32_t>(path.size())};
  std::copy_n(digest.view().begin(), row.digest.size(), row.digest.begin());
  text_ += key;
  if (row.path_size != 0) text_ += path;
  by_path_.push_back(row);
  return by_path_.size() * sizeof(ByPath) + text_.size() < memory_ ? Result<>() : SpillPaths();
}

Result<> IndexWriter::SpillPaths() {
  const std::string_view text = text_;
  const auto key_of = [&](const ByPath& r) { return text.substr(r.key, r.key_size); };
  const auto path_of = [&](const ByPath& r) {
    return r.path_size == 0 ? key_of(r) : text.substr(r.key + r.key_size, r.path_size);
  };
  std::sort(by_path_.begin(), by_path_.end(), [&](const ByPath& a, const ByPath& b) {
    const int order = key_of(a).compare(key_of(b));
    return order != 0 ? order < 0 : path_of(a) < path_of(b);
  });
  const std::uint64_t from = path_spill_.size();
  for (const ByPath& r : by_path_) {
    ASSAY_TRY(path_spill_.Put(RawBytes(PathHead{.digest = r.digest,
                                                .package = r.package,
                                                .allowances = r.allowances,
                                                .key_size = r.key_size,
                                                .path_size = r.path_size})));
    ASSAY_TRY(path_spill_.Put(AsBytes(text.substr(r.key, r.key_size + r.path_size))));
  }
  path_runs_.push_back({from, path_spill_.size()});
  by_path_.clear();
  text_.clear();
  return path_spill_.Flush();
}

std::size_t IndexWriter::BlockOf(const std::vector<Run>& runs) const {
  return std::clamp(memory_ / (4 * std::max<std::size_t>(runs.size(), 1)), kSmallestBlock,
                    SpillReader::kBlock);
}

// Gives each path its row, and the files their paths' rows.
Result<> IndexWriter::MergePaths() {
  if (!by_path_.empty()) ASSAY_TRY(SpillPaths());
  std::vector<ByPath>().swap(by_path_);  // the memory is for the digests now
  std::string().swap(text_);
  std::vector<PathRun> runs;
  runs.reserve(path_runs_.size());
  for (const Run& run : path_runs_) runs.emplace_back(path_spill_, run, BlockOf(path_runs_));
  ASSAY_TRY(MergeRuns(runs, [&](const PathRun& r) -> Result<> {
    if (h_.paths == 0 || r.path != path_) ASSAY_TRY(PutPath(r.key, r.path));
    const auto path = static_cast<std::uint32_t>(h_.paths - 1);
    // Of several packages at one path the last in order: of one package the latest version.
    if (!absent_[r.head.package] && (package_ == kNoPackage || r.head.package > package_)) {
      package_ = r.head.package;
      winner_ = in_key_ - 1;
    }
    by_digest_.push_back({r.head.digest, r.head.package, path, r.head.allowances});
    return by_digest_.size() * sizeof(ByDigest) < memory_ ? Result<>() : SpillDigests();
  }));
  ASSAY_TRY(EndKey());
  path_spill_ = Spill();
  return {};
}

Result<> IndexWriter::PutPath(std::string_view key, const std::string& path) {
  if (h_.paths == 0 || key != key_) {
    ASSAY_TRY(EndKey());
    key_ = key;
  }
  std::size_t shared = 0;
  if (h_.paths % kPathsInBlock == 0) {
    if (path_text_.size() >= kMaxTable || h_.paths >= kMaxTable - 1) return Fail(TooMany());
    ASSAY_TRY(path_blocks_.PutU32(static_cast<std::uint32_t>(path_text_.size())));
  } else {
    const auto most =
        static_cast<std::ptrdiff_t>(std::min({path.size(), path_.size(), std::size_t{UINT8_MAX}}));
    shared = static_cast<std::size_t>(std::mismatch(path.begin(), path.begin() + most, path_.begin()).first -
                                      path.begin());
  }
  Writer w;
  w.U8(static_cast<std::uint8_t>(shared));
  std::size_t size = path.size() - shared;
  for (; size > 0x7F; size >>= 7U) w.U8(static_cast<std::uint8_t>(size | 0x80U));
  w.U8(static_cast<std::uint8_t>(size)).Put(std::string_view(path).substr(shared));
  path_ = path;
  ++h_.paths;
  ++in_key_;
  return path_text_.Put(w.bytes());
}

// Says for the paths of a key which of them has the package whose file should be there.
Result<> IndexWriter::EndKey() {
  for (std::uint32_t i = 0; i < in_key_; ++i)
    ASSAY_TRY(path_packages_.PutU32(i == winner_ ? package_ : kNoPackage));
  in_key_ = winner_ = 0;
  package_ = kNoPackage;
  return {};
}

Result<> IndexWriter::SpillDigests() {
  std::sort(by_digest_.begin(), by_digest_.end(), IsBefore<ByDigest>);
  const std::uint64_t from = digest_spill_.size();
  for (const ByDigest& r : by_digest_) ASSAY_TRY(digest_spill_.Put(RawBytes(r)));
  digest_runs_.push_back({from, digest_spill_.size()});
  by_digest_.clear();
  return digest_spill_.Flush();
}

Result<> IndexWriter::MergeDigests() {
  if (!by_digest_.empty()) ASSAY_TRY(SpillDigests());
  std::vector<ByDigest>().swap(by_digest_);
  std::vector<DigestRun> runs;
  runs.reserve(digest_runs_.size());
  for (const Run& run : digest_runs_) runs.emplace_back(digest_spill_, run, BlockOf(digest_runs_));
  ASSAY_TRY(MergeRuns(runs, [&](const DigestRun& r) { return PutOrigin(r.row); }));
  if (allowed_ != 0) ASSAY_TRY(allowances_.PutU32(allowed_));
  digest_spill_ = Spill();
  return ranges_.PutU32(static_cast<std::uint32_t>(h_.origins));
}

Result<> IndexWriter::PutOrigin(const ByDigest& row) {
  const bool first = h_.digests == 0;
  const bool same_digest = !first && row.digest == last_.digest;
  const bool same_origin = same_digest && row.package == last_.package && row.path == last_.path;
  if (!same_digest) {
    if (allowed_ != 0) ASSAY_TRY(allowances_.PutU32(allowed_));
    allowed_ = 0;
    ASSAY_TRY(digests_.Put(row.digest));
    ASSAY_TRY(ranges_.PutU32(static_cast<std::uint32_t>(h_.origins)));
    ++h_.digests;
  }
  if (row.allowances != 0 && allowed_ == 0) {
    ASSAY_TRY(allowances_.PutU32(static_cast<std::uint32_t>(h_.digests - 1)));
    ++h_.allowances;
  }
  allowed_ |= row.allowances;
  last_ = row;
  if (same_origin) return {};
  if (++h_.origins >= kMaxTable) return Fail(TooMany());
  return origins_.Put(RawBytes(OriginRow{row.package, row.path}));
}

Result<> IndexWriter::Sort() {
  ASSAY_TRY(MergePaths());
  ASSAY_TRY(MergeDigests());
  h_.path_text_size = path_text_.size();
  h_.strings_size = strings_.size();
  if (h_.path_text_size >= kMaxTable || h_.strings_size >= kMaxTable || h_.packages >= kMaxTable ||
      h_.advisories >= kMaxTable)
    return Fail(TooMany());
  for (Spill* spill : {&digests_, &ranges_, &origins_, &path_packages_, &path_blocks_, &path_text_,
                       &packages_, &strings_, &allowances_, &advisories_})
    ASSAY_TRY(spill->Flush());
  h_.magic = kMagic;
  h_.fanout_bits = FanoutBits(h_.digests);
  h_.filter_blocks = (h_.digests + kDigestsInFilterBlock - 1) / kDigestsInFilterBlock;
  return {};
}

// Gives the tables, as they follow the header, to `take`, and returns the header.
template <typename TakeBytes>
Result<Header> IndexWriter::Lay(const TakeBytes& take) {
  ASSAY_TRY(Sort());
  DigestTables of_digests(h_, fanout_, filter_);
  Hasher hasher(HashAlg::kSha256);
  std::uint64_t at = sizeof(Header);
  const auto put = [&](ByteView bytes) -> Result<> {
    hasher.Update(bytes);
    at += bytes.size();
    return take(bytes);
  };
  // The digests come first: the last two follow from them.
  for (const Table& table :
       {Table{&Header::digests_at, &digests_}, Table{&Header::ranges_at, &ranges_},
        Table{&Header::origins_at, &origins_}, Table{&Header::path_packages_at, &path_packages_},
        Table{&Header::path_blocks_at, &path_blocks_}, Table{&Header::path_text_at, &path_text_},
        Table{&Header::packages_at, &packages_}, Table{&Header::strings_at, &strings_},
        Table{&Header::allowances_at, &allowances_}, Table{&Header::advisories_at, &advisories_},
        Table{&Header::fanout_at, &fanout_}, Table{&Header::filter_at, &filter_}}) {
    h_.*table.at = at;
    SpillReader reader(*table.rows, 0, table.rows->size());
    while (!reader.done()) {
      ASSAY_ASSIGN(const ByteView bytes, reader.Next());  // a whole number of digests
      if (table.rows == &digests_)
        for (std::size_t i = 0; i < bytes.size(); i += 32) ASSAY_TRY(of_digests.Take(bytes.data() + i));
      ASSAY_TRY(put(bytes));
    }
    if (table.rows == &digests_) ASSAY_TRY(of_digests.End());
    static constexpr std::array<std::uint8_t, kTableAlignment> kGap{};
    ASSAY_TRY(put(ByteView(kGap).first((kTableAlignment - at % kTableAlignment) % kTableAlignment)));
  }
  h_.file_size = at;
  const Digest content = hasher.Finish();
  std::copy_n(content.view().begin(), h_.content.size(), h_.content.begin());
  const Digest check = Hash(HashAlg::kSha256, RawBytes(h_).first(offsetof(Header, check)));
  std::copy_n(check.view().begin(), h_.check.size(), h_.check.begin());
  return h_;
}

Result<> IndexWriter::Write(const std::string& path) {
  ASSAY_ASSIGN(AtomicFile file, AtomicFile::Make(path));
  ASSAY_TRY(file.Put(Bytes(sizeof(Header))));
  ASSAY_ASSIGN(const Header header, Lay([&](ByteView bytes) { return file.Put(bytes); }));
  ASSAY_TRY(file.PutAt(0, RawBytes(header)));
  return file.Commit(0644);
}

Result<Bytes> IndexWriter::Encode() {
  Bytes file(sizeof(Header));
  ASSAY_ASSIGN(const Header header, Lay([&](ByteView bytes) -> Result<> {
                 file.insert(file.end(), bytes.begin(), bytes.end());
                 return {};
               }));
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

}  // namespace assay::reference
