// Bytes, their texts (hex, base64, base64url), and the two cursors for reading and writing binary formats.
//
//   // given: ByteView data
//   Reader r(data, "ima-list");
//   ASSAY_ASSIGN(std::uint32_t size, r.U32Le("name length"));
//   ASSAY_ASSIGN(ByteView name, r.Take(size, "name"));     // bounded: a ParseError with the offset otherwise
//
// Contract: a Reader never reads past its input and never allocates. After an error it stands where it stood
// before. Views point into the input and live as long as it does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView AsBytes(std::string_view s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}
inline std::string_view AsText(ByteView b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
inline Bytes ToBytes(ByteView b) { return Bytes(b.begin(), b.end()); }
bool Equal(ByteView a, ByteView b);

std::string Hex(ByteView b);                   // lower case
Result<Bytes> FromHex(std::string_view text);  // either case, an even number of digits, nothing else
std::string Base64(ByteView b);                // RFC 4648 section 4, padded
Result<Bytes> FromBase64(std::string_view text);
std::string Base64Url(ByteView b);  // RFC 4648 section 5, unpadded (RFC 7515)
Result<Bytes> FromBase64Url(std::string_view text);

class Reader {
 public:
  // format: the name that a ParseError will carry. base: offset of data[0] in the whole input.
  Reader(ByteView data, std::string_view format, std::uint64_t base = 0)
      : data_(data), format_(format), base_(base) {}

  std::uint64_t offset() const { return base_ + pos_; }
  std::size_t remaining() const { return data_.size() - pos_; }
  bool done() const { return pos_ == data_.size(); }
  ByteView rest() const { return data_.subspan(pos_); }

  Result<ByteView> Take(std::size_t n, std::string_view what) {
    if (n > remaining()) return Fail(Truncated(what));
    const ByteView view = data_.subspan(pos_, n);
    pos_ += n;
    return view;
  }
  Result<std::uint8_t> U8(std::string_view what = "u8");
  Result<std::uint16_t> U16Le(std::string_view what = "u16");
  Result<std::uint32_t> U32Le(std::string_view what = "u32") {
    if (remaining() < 4) return Fail(Truncated(what));
    const std::uint8_t* b = data_.data() + pos_;
    pos_ += 4;
    return std::uint32_t{b[0]} | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 |
           std::uint32_t{b[3]} << 24;
  }
  Result<std::uint64_t> U64Le(std::string_view what = "u64");
  Result<std::uint16_t> U16Be(std::string_view what = "u16");
  Result<std::uint32_t> U32Be(std::string_view what = "u32");
  Result<std::uint64_t> U64Be(std::string_view what = "u64");

  // An error at the present offset (or at one given).
  Error Bad(std::string_view what) const {
    return ParseError(std::string(format_), offset(), std::string(what));
  }
  Error BadAt(std::uint64_t at, std::string_view what) const {
    return ParseError(std::string(format_), at, std::string(what));
  }

 private:
  Error Truncated(std::string_view what) const;

  ByteView data_;
  std::string_view format_;
  std::uint64_t base_;
  std::size_t pos_ = 0;
};

class Writer {
 public:
  Writer& U8(std::uint8_t v);
  Writer& U16Le(std::uint16_t v);
  Writer& U32Le(std::uint32_t v);
  Writer& U64Le(std::uint64_t v);
  Writer& U16Be(std::uint16_t v);
  Writer& U32Be(std::uint32_t v);
  Writer& U64Be(std::uint64_t v);
  Writer& Put(ByteView b);
  Writer& Put(std::string_view s) { return Put(AsBytes(s)); }
  const Bytes& bytes() const { return out_; }
  Bytes Take() { return std::move(out_); }

 private:
  Bytes out_;
};

}  // namespace assay
