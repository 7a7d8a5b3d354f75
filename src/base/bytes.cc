#include "base/bytes.h"

#include <algorithm>
#include <array>

namespace assay {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string Encode64(ByteView b, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((b.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < b.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, b.size() - i);
    std::uint32_t v = std::uint32_t{b[i]} << 16;
    if (n > 1) v |= std::uint32_t{b[i + 1]} << 8;
    if (n > 2) v |= b[i + 2];
    for (std::size_t k = 0; k < n + 1; ++k) out += alphabet[v >> (18 - 6 * k) & 63];
    if (pad) out.append(3 - n, '=');
  }
  return out;
}

Result<Bytes> Decode64(std::string_view text, std::string_view alphabet, bool pad) {
  std::array<std::int8_t, 256> value;
  value.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    value[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  std::string_view body = text;
  if (pad) {
    if (text.size() % 4 != 0) return Fail(ParseError("base64", text.size(), "length is no multiple of 4"));
    for (int i = 0; i < 2 && body.ends_with('='); ++i) body.remove_suffix(1);
  }
  if (body.size() % 4 == 1) return Fail(ParseError("base64", text.size(), "truncated"));
  Bytes out;
  out.reserve(body.size() / 4 * 3 + 2);
  std::uint32_t acc = 0;
  int bits = 0;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const int v = value[static_cast<unsigned char>(body[i])];
    if (v < 0) return Fail(ParseError("base64", i, "not in the alphabet"));
    acc = acc << 6 | static_cast<std::uint32_t>(v);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::uint8_t>(acc >> bits));
    }
  }
  // One text for one value: leftover bits must be zero.
  if ((acc & ((1U << bits) - 1)) != 0)
    return Fail(ParseError("base64", text.size(), "trailing bits are set"));
  return out;
}

template <typename T>
T Load(ByteView b, bool little) {
  T v = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) v = static_cast<T>(v << 8 | b[little ? sizeof(T) - 1 - i : i]);
  return v;
}

template <typename T>
void Store(Bytes& out, T v, bool little) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<std::uint8_t>(v >> 8 * (little ? i : sizeof(T) - 1 - i)));
}

template <typename T>
Result<T> Number(Reader& r, std::string_view what, bool little) {
  ASSAY_ASSIGN(ByteView b, r.Take(sizeof(T), what));
  return Load<T>(b, little);
}

}  // namespace

bool Equal(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

std::string Hex(ByteView b) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(b.size() * 2, '\0');
  for (std::size_t i = 0; i < b.size(); ++i) {
    out[2 * i] = kDigits[b[i] >> 4];
    out[2 * i + 1] = kDigits[b[i] & 15];
  }
  return out;
}

Result<Bytes> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) return Fail(ParseError("hex", text.size(), "odd number of digits"));
  Bytes out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int hi = HexValue(text[2 * i]), lo = HexValue(text[2 * i + 1]);
    if (hi < 0 || lo < 0) return Fail(ParseError("hex", 2 * i + (hi < 0 ? 0 : 1), "not a hexadecimal digit"));
    out[i] = static_cast<std::uint8_t>(hi << 4 | lo);
  }
  return out;
}

std::string Base64(ByteView b) { return Encode64(b, kStandard, true); }
Result<Bytes> FromBase64(std::string_view text) { return Decode64(text, kStandard, true); }
std::string Base64Url(ByteView b) { return Encode64(b, kUrl, false); }
Result<Bytes> FromBase64Url(std::string_view text) { return Decode64(text, kUrl, false); }

Error Reader::Truncated(std::string_view what) const { return Bad("truncated " + std::string(what)); }

Result<std::uint8_t> Reader::U8(std::string_view what) { return Number<std::uint8_t>(*this, what, true); }
Result<std::uint16_t> Reader::U16Le(std::string_view what) {
  return Number<std::uint16_t>(*this, what, true);
}
Result<std::uint64_t> Reader::U64Le(std::string_view what) {
  return Number<std::uint64_t>(*this, what, true);
}
Result<std::uint16_t> Reader::U16Be(std::string_view what) {
  return Number<std::uint16_t>(*this, what, false);
}
Result<std::uint32_t> Reader::U32Be(std::string_view what) {
  return Number<std::uint32_t>(*this, what, false);
}
Result<std::uint64_t> Reader::U64Be(std::string_view what) {
  return Number<std::uint64_t>(*this, what, false);
}

Writer& Writer::U8(std::uint8_t v) {
  out_.push_back(v);
  return *this;
}
Writer& Writer::U16Le(std::uint16_t v) {
  Store(out_, v, true);
  return *this;
}
Writer& Writer::U32Le(std::uint32_t v) {
  Store(out_, v, true);
  return *this;
}
Writer& Writer::U64Le(std::uint64_t v) {
  Store(out_, v, true);
  return *this;
}
Writer& Writer::U16Be(std::uint16_t v) {
  Store(out_, v, false);
  return *this;
}
Writer& Writer::U32Be(std::uint32_t v) {
  Store(out_, v, false);
  return *this;
}
Writer& Writer::U64Be(std::uint64_t v) {
  Store(out_, v, false);
  return *this;
}
Writer& Writer::Put(ByteView b) {
  out_.insert(out_.end(), b.begin(), b.end());
  return *this;
}

}  // namespace assay
