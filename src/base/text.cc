#include "base/text.h"

#include <fmt/core.h>

namespace assay {
namespace {

// Size of the well-formed UTF-8 sequence at the start (RFC 3629), 0 if there is none.
std::size_t Utf8Size(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t n = first >= 0xC2 && first <= 0xDF   ? 2
                        : (first & 0xF0) == 0xE0         ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (n == 0 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;
  return n;
}

// C1 controls (U+0080 to U+009F) can drive a terminal as the C0 ones can; the bidirectional and line
// separators can make a line read as what it is not.
bool Misleading(std::string_view sequence) {
  if (sequence.size() == 1) {
    const auto c = static_cast<unsigned char>(sequence[0]);
    return c < 0x20 || c == 0x7F;
  }
  const auto first = static_cast<unsigned char>(sequence[0]),
             second = static_cast<unsigned char>(sequence[1]);
  if (sequence.size() == 2) return first == 0xC2 && second < 0xA0;
  if (sequence.size() != 3 || first != 0xE2) return false;
  const auto third = static_cast<unsigned char>(sequence[2]);
  return (second == 0x80 && third >= 0x8B && third <= 0x8F) ||
         (second == 0x80 && third >= 0xA8 && third <= 0xAE) ||
         (second == 0x81 && third >= 0xA0 && third <= 0xAF);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = Utf8Size(text.substr(i));
    const std::string_view sequence = text.substr(i, std::max<std::size_t>(n, 1));
    if (n == 0 || Misleading(sequence)) {
      for (char c : sequence) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += sequence;
    }
    i += sequence.size();
  }
  return out;
}

std::string PrintableAscii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (!IsPrintableAscii(c)) c = '?';
  return out;
}

}  // namespace assay
