// SHA-1 and SHA-256 of many short texts, by the processor's SHA instructions (x86: SHA-NI). Within one text
// each instruction waits for the one before, so two texts are hashed side by side. The value of a PCR's chain
// stays in registers. On processors without these instructions, and for other algorithms, Hash() is used.
#include "base/digest_lanes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
// The instructions are used behind HasSha() only, so the program runs on every processor.
#define ASSAY_SHA __attribute__((target("sha,sse4.1"))) inline
#endif

namespace assay {
namespace {

#if defined(__x86_64__)

constexpr std::size_t kBlock = 64;

bool HasSha() {
  static const bool has = [] {
    constexpr unsigned kSha = 1U << 29;  // CPUID leaf 7, EBX
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kSha) != 0;
  }();
  return has;
}

// A text with its padding (FIPS 180-4, section 5.1.1), in blocks.
class Padded {
 public:
  explicit Padded(ByteView text) : text_(text), whole_(text.size() / kBlock) {
    const std::size_t rest = text.size() % kBlock;
    blocks_ = whole_ + (rest < kBlock - 8 ? 1 : 2);
    if (rest > 0) std::memcpy(tail_, text.data() + whole_ * kBlock, rest);
    tail_[rest] = 0x80;
    const std::uint64_t bits = __builtin_bswap64(std::uint64_t{text.size()} * 8);
    std::memcpy(tail_ + (blocks_ - whole_) * kBlock - 8, &bits, 8);
  }
  std::size_t blocks() const { return blocks_; }
  const std::uint8_t* Block(std::size_t i) const {
    return i < whole_ ? text_.data() + i * kBlock : tail_ + (i - whole_) * kBlock;
  }

 private:
  ByteView text_;
  std::size_t whole_, blocks_;
  std::uint8_t tail_[2 * kBlock] = {};
};

ASSAY_SHA __m128i Load(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }
ASSAY_SHA void Store(void* at, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(at), v); }

// FIPS 180-4, section 4.2.2.
alignas(16) constexpr std::array<std::uint32_t, 64> kRound256 = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The round constants plus the words of the second block of a text of 64 bytes, which is padding only.
constexpr std::array<std::uint32_t, 64> PaddingRounds() {
  std::array<std::uint32_t, 64> w{};
  w[0] = 0x80000000;
  w[15] = 512;
  const auto turn = [](std::uint32_t x, unsigned n) { return x >> n | x << (32 - n); };
  for (std::size_t i = 16; i < 64; ++i)
    w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
           (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
  for (std::size_t i = 0; i < 64; ++i) w[i] += kRound256[i];
  return w;
}
alignas(16) constexpr std::array<std::uint32_t, 64> kPadding256 = PaddingRounds();

struct Sha256 {
  __m128i abef, cdgh;  // a and c in the highest word
  struct Words {
    __m128i w[4];  // the first in the lowest word
  };

  ASSAY_SHA static __m128i BigEndian(__m128i v) {
    return _mm_shuffle_epi8(v, _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
  }
  ASSAY_SHA static Sha256 Begin() {
    return {_mm_set_epi32(0x6a09e667, static_cast<int>(0xbb67ae85), 0x510e527f, static_cast<int>(0x9b05688c)),
            _mm_set_epi32(0x3c6ef372, static_cast<int>(0xa54ff53a), 0x1f83d9ab, 0x5be0cd19)};
  }
  ASSAY_SHA static Words Read(const std::uint8_t* block) {
    return {{BigEndian(Load(block)), BigEndian(Load(block + 16)), BigEndian(Load(block + 32)),
             BigEndian(Load(block + 48))}};
  }
  // Four rounds; x: the words plus the constants.
  ASSAY_SHA void Rounds(__m128i x) {
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, x);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(x, 0x0E));
  }
  template <std::size_t kStep>
  ASSAY_SHA void Step(Words& m) {
    __m128i& now = m.w[kStep % 4];
    Rounds(_mm_add_epi32(now, Load(&kRound256[4 * kStep])));
    if constexpr (kStep < 12) {
      const __m128i one = m.w[(kStep + 1) % 4], two = m.w[(kStep + 2) % 4], three = m.w[(kStep + 3) % 4];
      now = _mm_add_epi32(_mm_sha256msg1_epu32(now, one), _mm_alignr_epi8(three, two, 4));
      now = _mm_sha256msg2_epu32(now, three);
    }
  }
  static constexpr std::size_t kSteps = 16;
  ASSAY_SHA void Add(const Sha256& was) {
    abef = _mm_add_epi32(abef, was.abef);
    cdgh = _mm_add_epi32(cdgh, was.cdgh);
  }
  ASSAY_SHA __m128i Abcd() const { return _mm_shuffle_epi32(_mm_unpackhi_epi64(cdgh, abef), 0x1B); }
  ASSAY_SHA __m128i Efgh() const { return _mm_shuffle_epi32(_mm_unpacklo_epi64(cdgh, abef), 0x1B); }
  ASSAY_SHA void Write(std::uint8_t* out) const {
    Store(out, BigEndian(Abcd()));
    Store(out + 16, BigEndian(Efgh()));
  }
};

struct Sha1 {
  __m128i abcd, e;  // a and e in the highest word
  struct Words {
    __m128i w[4];  // the first in the highest word
  };

  ASSAY_SHA static __m128i BigEndian(__m128i v) {
    return _mm_shuffle_epi8(v, _mm_set_epi64x(0x0001020304050607LL, 0x08090a0b0c0d0e0fLL));
  }
  ASSAY_SHA static Sha1 Begin() {
    return {_mm_set_epi32(0x67452301, static_cast<int>(0xefcdab89), static_cast<int>(0x98badcfe), 0x10325476),
            _mm_set_epi32(static_cast<int>(0xc3d2e1f0), 0, 0, 0)};
  }
  ASSAY_SHA static Words Read(const std::uint8_t* block) {
    return {{BigEndian(Load(block)), BigEndian(Load(block + 16)), BigEndian(Load(block + 32)),
             BigEndian(Load(block + 48))}};
  }
  template <std::size_t kStep>
  ASSAY_SHA void Step(Words& m) {
    __m128i& now = m.w[kStep % 4];
    const __m128i x = kStep == 0 ? _mm_add_epi32(e, now) : _mm_sha1nexte_epu32(e, now);
    e = abcd;
    abcd = _mm_sha1rnds4_epu32(abcd, x, kStep / 5);
    if constexpr (kStep < 16) {
      const __m128i one = m.w[(kStep + 1) % 4], two = m.w[(kStep + 2) % 4], three = m.w[(kStep + 3) % 4];
      now = _mm_sha1msg2_epu32(_mm_xor_si128(_mm_sha1msg1_epu32(now, one), two), three);
    }
  }
  static constexpr std::size_t kSteps = 20;
  ASSAY_SHA void Add(const Sha1& was) {
    abcd = _mm_add_epi32(abcd, was.abcd);
    e = _mm_sha1nexte_epu32(e, was.e);
  }
  ASSAY_SHA void Write(std::uint8_t* out) const {
    Store(out, BigEndian(abcd));
    const std::uint32_t last = __builtin_bswap32(static_cast<std::uint32_t>(_mm_extract_epi32(e, 3)));
    std::memcpy(out + 16, &last, 4);
  }
};

template <typename Sha, std::size_t... kStep>
ASSAY_SHA void Compress(Sha& s, typename Sha::Words m, std::index_sequence<kStep...>) {
  const Sha was = s;
  (s.template Step<kStep>(m), ...);
  s.Add(was);
}

template <typename Sha, std::size_t... kStep>
ASSAY_SHA void CompressTwo(Sha& s, Sha& t, typename Sha::Words m, typename Sha::Words n,
                           std::index_sequence<kStep...>) {
  const Sha s_was = s, t_was = t;
  ((s.template Step<kStep>(m), t.template Step<kStep>(n)), ...);
  s.Add(s_was);
  t.Add(t_was);
}

template <typename Sha>
ASSAY_SHA void HashTwo(ByteView first, ByteView second, std::uint8_t* first_out, std::uint8_t* second_out) {
  constexpr std::make_index_sequence<Sha::kSteps> kAll;
  const Padded a(first), b(second);
  Sha s = Sha::Begin(), t = Sha::Begin();
  std::size_t i = 0;
  for (; i < std::min(a.blocks(), b.blocks()); ++i)
    CompressTwo(s, t, Sha::Read(a.Block(i)), Sha::Read(b.Block(i)), kAll);
  for (std::size_t more = i; more < a.blocks(); ++more) Compress(s, Sha::Read(a.Block(more)), kAll);
  for (std::size_t more = i; more < b.blocks(); ++more) Compress(t, Sha::Read(b.Block(more)), kAll);
  s.Write(first_out);
  t.Write(second_out);
}

template <typename Sha>
ASSAY_SHA void HashPairs(std::span<const ByteView> texts, std::span<Digest> out) {
  for (std::size_t i = 0; i + 1 < texts.size(); i += 2)
    HashTwo<Sha>(texts[i], texts[i + 1], out[i].data(), out[i + 1].data());
}

// The value stays in registers, where its words are those of the next text.
ASSAY_SHA void Chain256(std::uint8_t* value, std::span<const Digest> events) {
  __m128i abcd = Sha256::BigEndian(Load(value)), efgh = Sha256::BigEndian(Load(value + 16));
  for (const Digest& event : events) {
    const std::uint8_t* extended = event.view().data();
    Sha256 s = Sha256::Begin();
    Compress(s, {{abcd, efgh, Sha256::BigEndian(Load(extended)), Sha256::BigEndian(Load(extended + 16))}},
             std::make_index_sequence<Sha256::kSteps>());
    const Sha256 was = s;
    for (std::size_t i = 0; i < kPadding256.size(); i += 4) s.Rounds(Load(&kPadding256[i]));
    s.Add(was);
    abcd = s.Abcd();
    efgh = s.Efgh();
  }
  Store(value, Sha256::BigEndian(abcd));
  Store(value + 16, Sha256::BigEndian(efgh));
}

ASSAY_SHA void Chain1(std::uint8_t* value, std::span<const Digest> events) {
  constexpr int kBits = 320;  // of a text: value and event
  std::uint32_t e = 0;
  std::memcpy(&e, value + 16, 4);
  Sha1 s{Sha1::BigEndian(Load(value)), _mm_set_epi32(static_cast<int>(__builtin_bswap32(e)), 0, 0, 0)};
  for (const Digest& event : events) {
    const __m128i four = Sha1::BigEndian(Load(event.view().data()));
    std::uint32_t fifth = 0;
    std::memcpy(&fifth, event.view().data() + 16, 4);
    const __m128i rest = _mm_set_epi32(0, static_cast<int>(__builtin_bswap32(fifth)), INT32_MIN, 0);
    const Sha1::Words m{{s.abcd, _mm_or_si128(s.e, _mm_srli_si128(four, 4)),
                         _mm_or_si128(rest, _mm_slli_si128(four, 12)), _mm_set_epi32(0, 0, 0, kBits)}};
    s = Sha1::Begin();
    Compress(s, m, std::make_index_sequence<Sha1::kSteps>());
  }
  s.Write(value);
}

#endif

}  // namespace

void HashEach(HashAlg alg, std::span<const ByteView> texts, std::span<Digest> out) {
  std::size_t done = 0;
#if defined(__x86_64__)
  if (HasSha() && (alg == HashAlg::kSha1 || alg == HashAlg::kSha256)) {
    done = texts.size() / 2 * 2;
    std::fill_n(out.begin(), done, Digest::Filled(alg, 0));
    if (alg == HashAlg::kSha1)
      HashPairs<Sha1>(texts, out);
    else
      HashPairs<Sha256>(texts, out);
  }
#endif
  for (; done < texts.size(); ++done) out[done] = Hash(alg, texts[done]);
}

Digest ExtendPcr(const Digest& old, std::span<const Digest> events) {
  Digest value = old;
#if defined(__x86_64__)
  if (HasSha() && (old.alg() == HashAlg::kSha1 || old.alg() == HashAlg::kSha256)) {
    if (old.alg() == HashAlg::kSha1)
      Chain1(value.data(), events);
    else
      Chain256(value.data(), events);
    return value;
  }
#endif
  for (const Digest& event : events) value = ExtendPcr(value, event);
  return value;
}

}  // namespace assay
