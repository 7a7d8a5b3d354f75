#include "who_ran/host_set.h"

#include <bit>
#include <cstring>

namespace assay::who_ran {
namespace {

constexpr std::string_view kFormat = "who-ran-set";
// The Roaring format specification: https://github.com/RoaringBitmap/RoaringFormatSpec
constexpr std::uint32_t kCookieWithRuns = 12347, kCookie = 12346;
constexpr std::uint32_t kContainers = 65536, kInContainer = 65536;
constexpr std::uint32_t kFirstWithOffsets = 4;  // containers, in a set with runs
constexpr std::uint32_t kMaxArray = 4096;
constexpr std::size_t kBitmapBytes = 8192;

struct Container {
  std::uint32_t key = 0, count = 0;
  bool runs = false;
};

// Each returns the highest number in the container.
Result<std::uint32_t> CheckRuns(Reader& r, std::uint32_t count) {
  ASSAY_ASSIGN(const std::uint32_t runs, r.U16Le("runs"));
  std::uint32_t next = 0, sum = 0;  // the first number that a run may begin with
  for (std::uint32_t i = 0; i < runs; ++i) {
    ASSAY_ASSIGN(const std::uint32_t start, r.U16Le("a run"));
    ASSAY_ASSIGN(const std::uint32_t more, r.U16Le("a run"));
    if (start < next || start + more >= kInContainer) return Fail(r.Bad("runs do not ascend"));
    sum += more + 1;
    next = start + more + 2;  // two runs that touch are one
  }
  if (runs == 0 || sum != count) return Fail(r.Bad("a container has another size"));
  return next - 2;
}

Result<std::uint32_t> CheckArray(Reader& r, std::uint32_t count) {
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSAY_ASSIGN(const std::uint32_t number, r.U16Le("a number"));
    if (number < next) return Fail(r.Bad("numbers do not ascend"));
    next = number + 1;
  }
  return next - 1;
}

Result<std::uint32_t> CheckBitmap(Reader& r, std::uint32_t count) {
  ASSAY_ASSIGN(const ByteView bytes, r.Take(kBitmapBytes, "a bitmap"));
  std::uint32_t sum = 0, last = 0;
  for (std::uint32_t i = 0; i < kBitmapBytes; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    sum += static_cast<std::uint32_t>(std::popcount(word));
    if (word != 0) last = i * 8 + 63 - static_cast<std::uint32_t>(std::countl_zero(word));
  }
  if (sum != count) return Fail(r.Bad("a container has another size"));
  return last;
}

Result<std::vector<Container>> TakeHeads(Reader& r, bool& offsets) {
  ASSAY_ASSIGN(const std::uint32_t cookie, r.U32Le("cookie"));
  const bool with_runs = (cookie & 0xFFFFU) == kCookieWithRuns;
  if (!with_runs && cookie != kCookie) return Fail(r.Bad("not a set"));
  std::uint32_t count = (cookie >> 16U) + 1;
  ByteView runs;
  if (with_runs) {
    ASSAY_ASSIGN(runs, r.Take((count + 7) / 8, "which containers have runs"));
  } else {
    ASSAY_ASSIGN(count, r.U32Le("containers"));
  }
  if (count == 0 || count > kContainers || r.remaining() / 4 < count) return Fail(r.Bad("containers"));
  std::vector<Container> containers(count);
  std::uint32_t next = 0, last_of_runs = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    Container& c = containers[i];
    ASSAY_ASSIGN(c.key, r.U16Le("key"));
    ASSAY_ASSIGN(c.count, r.U16Le("size"));
    ++c.count;
    c.runs = with_runs && (runs[i / 8] >> (i % 8) & 1U) != 0;
    if (c.key < next) return Fail(r.Bad("containers do not ascend"));
    next = c.key + 1;
    last_of_runs += c.runs ? 1 : 0;
  }
  if (with_runs && last_of_runs == 0) return Fail(r.Bad("no container has runs"));
  offsets = !with_runs || count >= kFirstWithOffsets;
  return containers;
}

Result<> Check(ByteView bytes, std::uint64_t hosts) {
  Reader r(bytes, kFormat);
  bool offsets = false;
  ASSAY_ASSIGN(const std::vector<Container> containers, TakeHeads(r, offsets));
  Reader places(r.rest(), kFormat, r.offset());
  if (offsets) {
    ASSAY_TRY(r.Take(containers.size() * 4, "offsets"));
  }
  for (const Container& c : containers) {
    if (offsets) {
      ASSAY_ASSIGN(const std::uint32_t at, places.U32Le("an offset"));
      if (at != r.offset()) return Fail(r.Bad("an offset"));
    }
    Result<std::uint32_t> last = c.runs                ? CheckRuns(r, c.count)
                                 : c.count > kMaxArray ? CheckBitmap(r, c.count)
                                                       : CheckArray(r, c.count);
    if (!last) return Fail(last.error());
    if (c.key * std::uint64_t{kInContainer} + *last >= hosts) return Fail(r.Bad("there is no such host"));
  }
  if (!r.done()) return Fail(r.Bad("more bytes than the set has"));
  return {};
}

}  // namespace

Result<HostSet> HostSet::Parse(ByteView bytes, std::uint64_t hosts) {
  ASSAY_TRY(Check(bytes, hosts));
  roaring_bitmap_t* bits =
      roaring_bitmap_portable_deserialize_safe(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (bits == nullptr) return Fail(ParseError(std::string(kFormat), 0, "CRoaring does not read it"));
  return HostSet(bits);
}

void HostSet::AppendTo(std::vector<std::uint32_t>& out) const {
  const std::size_t before = out.size();
  out.resize(before + size());
  roaring_bitmap_to_uint32_array(bits_.get(), out.data() + before);
}

Bytes HostSet::Encode() const {
  Bytes out(EncodedSize());
  roaring_bitmap_portable_serialize(bits_.get(), reinterpret_cast<char*>(out.data()));
  return out;
}

}  // namespace assay::who_ran
