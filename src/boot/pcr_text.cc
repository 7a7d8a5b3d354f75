#include "boot/pcr_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"

namespace assay::boot {
namespace {

constexpr std::string_view kForms =
    "what tpm2_pcrread prints ('sha256:', then lines '7 : 0x65CA...'), the same in YAML's flow style "
    "('sha256: {7: 0x65CA...}'), or lines ALG:INDEX:HEX";

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// A key or a value as JSON may quote it.
std::string_view Unquoted(std::string_view s) {
  s = Trim(s);
  const bool quoted = s.size() >= 2 && (s.front() == '"' || s.front() == '\'') && s.back() == s.front();
  return quoted ? Trim(s.substr(1, s.size() - 2)) : s;
}

// Messages of the TSS and of tpm2-tools, which stand among the values where standard error went to the same
// file.
bool IsWarning(std::string_view line) {
  return line.starts_with("WARNING:") || line.starts_with("WARN:") || line.starts_with("INFO:");
}

// Adds a value. If it is wrong, the answer says what is.
std::optional<std::string_view> Add(HashAlg bank, std::string_view index_text, std::string_view hex,
                                    tpm::PcrValues& out) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(index_text.data(), index_text.data() + index_text.size(), index);
  if (error != std::errc() || end != index_text.data() + index_text.size()) return "not a PCR's index";
  if (hex.starts_with("0x") || hex.starts_with("0X")) hex.remove_prefix(2);
  const auto bytes = FromHex(hex);
  if (!bytes) return "not a hexadecimal value";
  auto digest = Digest::Of(bank, *bytes);
  if (!digest) return "the value does not have the bank's size";
  if (!out[static_cast<std::uint16_t>(bank)].emplace(index, *digest).second) return "a PCR is given twice";
  return std::nullopt;
}

// ALG:INDEX:HEX.
std::optional<std::string_view> AddTriple(std::string_view line, tpm::PcrValues& out) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return "not ALG:INDEX:HEX";
  const auto bank = HashFromName(Trim(line.substr(0, first)));
  if (!bank) return "unknown hash algorithm";
  return Add(*bank, Trim(line.substr(first + 1, second - first - 1)), Trim(line.substr(second + 1)), out);
}

// A text is read piece by piece: a line, or in flow style what stands between braces and commas.
class PcrText {
 public:
  explicit PcrText(std::string_view text) : text_(text) {}

  Result<tpm::PcrValues> Read() {
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      const std::string_view line = Trim(text_.substr(at, end - at));
      ++line_;
      const std::optional<std::string_view> bad = ReadLine(line);
      if (bad) return Fail(Named(at, line, *bad));
      at = end + 1;
    }
    if (depth_ != 0) return Fail(Named(text_.size(), "", "a { without its }"));
    return std::move(out_);
  }

 private:
  Error Named(std::uint64_t offset, std::string_view line, std::string_view what) const {
    constexpr std::size_t kShown = 60;
    return ParseError("pcr-values", offset,
                      fmt::format("line {}: {}: '{}'; read is {};", line_, what,
                                  Printable(std::string(line.substr(0, kShown))), kForms));
  }

  std::optional<std::string_view> ReadLine(std::string_view line) {
    if (line.starts_with('#') || IsWarning(line)) return std::nullopt;
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t end = std::min(line.find_first_of("{},", at), line.size());
      if (auto bad = ReadPiece(Trim(line.substr(at, end - at)))) return bad;
      if (end < line.size() && line[end] == '{') ++depth_;
      if (end < line.size() && line[end] == '}') {
        bank_.reset();
        if (depth_-- == 0) return "a } without its {";
      }
      at = end + 1;
    }
    return std::nullopt;
  }

  std::optional<std::string_view> ReadPiece(std::string_view piece) {
    if (piece.empty()) return std::nullopt;
    const std::size_t colon = piece.find(':');
    if (colon == std::string_view::npos) return "not a PCR value";
    const std::string_view key = Unquoted(piece.substr(0, colon)), value = Unquoted(piece.substr(colon + 1));
    if (key == "pcrs" && value.empty()) return std::nullopt;
    if (value.empty()) {
      bank_ = HashFromName(key);
      return bank_ ? std::nullopt : std::optional<std::string_view>("unknown hash algorithm");
    }
    if (value.find(':') != std::string_view::npos) return AddTriple(piece, out_);
    if (!bank_) return "a value before any bank's name";
    return Add(*bank_, key, value, out_);
  }

  std::string_view text_;
  std::size_t line_ = 0;
  std::size_t depth_ = 0;  // of braces
  std::optional<HashAlg> bank_;
  tpm::PcrValues out_;
};

}  // namespace

Result<> AddPcrValue(std::string_view text, tpm::PcrValues& values) {
  if (const auto bad = AddTriple(Trim(text), values))
    return Fail(ParseError("pcr-values", 0, std::string(*bad)));
  return {};
}

Result<tpm::PcrValues> ParsePcrText(std::string_view text) { return PcrText(text).Read(); }

}  // namespace assay::boot
