#include "boot/pcr_text.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace assay::boot {
namespace {

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

Error Bad(std::uint64_t offset, std::string_view what) {
  return ParseError("pcr-values", offset, std::string(what));
}

Result<> Add(std::uint64_t offset, HashAlg bank, std::string_view index_text, std::string_view hex,
             tpm::PcrValues& out) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(index_text.data(), index_text.data() + index_text.size(), index);
  if (error != std::errc() || end != index_text.data() + index_text.size())
    return Fail(Bad(offset, "not a PCR's index"));
  if (hex.starts_with("0x") || hex.starts_with("0X")) hex.remove_prefix(2);
  const auto bytes = FromHex(hex);
  if (!bytes) return Fail(Bad(offset, "not a hexadecimal value"));
  auto digest = Digest::Of(bank, *bytes);
  if (!digest) return Fail(Bad(offset, "the value does not have the bank's size"));
  if (!out[static_cast<std::uint16_t>(bank)].emplace(index, *digest).second)
    return Fail(Bad(offset, "a PCR is given twice"));
  return {};
}

// ALG:INDEX:HEX.
Result<> AddTriple(std::uint64_t offset, std::string_view line, tpm::PcrValues& out) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return Fail(Bad(offset, "not ALG:INDEX:HEX"));
  const auto bank = HashFromName(Trim(line.substr(0, first)));
  if (!bank) return Fail(Bad(offset, "unknown hash algorithm"));
  return Add(offset, *bank, Trim(line.substr(first + 1, second - first - 1)), Trim(line.substr(second + 1)),
             out);
}

}  // namespace

Result<> AddPcrValue(std::string_view text, tpm::PcrValues& values) {
  return AddTriple(0, Trim(text), values);
}

Result<tpm::PcrValues> ParsePcrText(std::string_view text) {
  tpm::PcrValues out;
  std::optional<HashAlg> bank;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = Trim(text.substr(at, end - at));
    const std::uint64_t offset = at;
    at = end + 1;
    if (line.empty() || line.front() == '#' || line == "pcrs:") continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Fail(Bad(offset, "not a PCR value"));
    const std::string_view key = Trim(line.substr(0, colon)), value = Trim(line.substr(colon + 1));
    if (value.empty()) {
      bank = HashFromName(key);
      if (!bank) return Fail(Bad(offset, "unknown hash algorithm"));
    } else if (value.find(':') != std::string_view::npos) {
      ASSAY_TRY(AddTriple(offset, line, out));
    } else if (!bank) {
      return Fail(Bad(offset, "a value before any bank's name"));
    } else {
      ASSAY_TRY(Add(offset, *bank, key, value, out));
    }
  }
  return out;
}

}  // namespace assay::boot
