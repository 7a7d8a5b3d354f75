// Text that others wrote, made safe to show: on a terminal, in a list of lines, in JSON.
//
//   // given: std::string_view path, std::string_view name
//   const std::string line = Printable(path);           // "/tmp/a\x0ab": control characters are escaped
//   const std::string ascii = PrintableAscii(name);     // "h?st": one byte for one byte
//
// Contract: both give valid UTF-8, and give their own results back unchanged. A backslash in the text stays
// as it is, so Printable() can't be undone. Source: RFC 3629 (well-formed UTF-8), Unicode TR 36 (what
// misleads).
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace assay {

constexpr bool IsPrintableAscii(char c) { return c >= ' ' && c < 0x7F; }
constexpr bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return IsPrintableAscii(c); });
}

// Control characters (C0, C1, DEL), bidirectional marks, line separators and bytes that are no UTF-8, as
// \xNN.
std::string Printable(std::string_view text);
// Each byte that is not printable ASCII as '?'.
std::string PrintableAscii(std::string_view text);

}  // namespace assay
