#include <fmt/format.h>

#include <algorithm>

#include "boot/efi.h"

namespace assay::boot {
namespace {

struct KnownGuid {
  std::string_view text;
  std::string_view name;
};

constexpr KnownGuid kKnown[] = {
    {"8be4df61-93ca-11d2-aa0d-00e098032b8c", "EFI_GLOBAL_VARIABLE"},
    {"d719b2cb-3d3a-4596-a3bc-dad00e67656f", "EFI_IMAGE_SECURITY_DATABASE"},
    {"b9c2b4f4-bf5f-462d-8adf-c5c70ac35dad", "EFI_DEVICE_SECURITY_DATABASE"},
    {"605dab50-e046-4300-abb6-3dd810dd8b23", "SHIM_LOCK"},
    {"4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "systemd loader"},
    {"77fa9abd-0359-4d32-bd60-28f4e78f784b", "Microsoft"},
    {"eb9d2d30-2d88-11d3-9a16-0090273fc14d", "ACPI_TABLE"},
    {"8868e871-e4f1-11d3-bc22-0080c73c8881", "ACPI_20_TABLE"},
    {"eb9d2d31-2d88-11d3-9a16-0090273fc14d", "SMBIOS_TABLE"},
    {"f2fd1544-9794-4a2c-992e-e5bbcf20e394", "SMBIOS3_TABLE"},
    {"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI System Partition"},
    {"0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem"},
    {"4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)"},
    {"bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot"},
    {"21686148-6449-6e6f-744e-656564454649", "BIOS boot partition"},
};

void AppendUtf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

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

// C1 controls (U+0080 to U+009F) can drive a terminal as the C0 ones can; the bidirectional characters and
// line separators can make a line look like another one.
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

std::string Guid::ToString() const {
  const auto& b = bytes;
  return fmt::format("{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{}", b[3], b[2], b[1],
                     b[0], b[5], b[4], b[7], b[6], b[8], b[9], Hex(ByteView(b).subspan(10)));
}

Guid GuidFrom(ByteView sixteen_bytes) {
  Guid guid;
  std::copy_n(sixteen_bytes.begin(), std::min(guid.bytes.size(), sixteen_bytes.size()), guid.bytes.begin());
  return guid;
}

std::string_view GuidName(const Guid& guid) {
  const std::string text = guid.ToString();
  for (const KnownGuid& known : kKnown) {
    if (known.text == text) return known.name;
  }
  return {};
}

std::string GuidLabel(const Guid& guid) {
  const std::string_view name = GuidName(guid);
  return name.empty() ? guid.ToString() : std::string(name);
}

bool IsGuid(const Guid& guid, std::string_view text) { return guid.ToString() == text; }

std::string FromUtf16(ByteView text) {
  constexpr std::uint32_t kReplacement = 0xFFFD;
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    std::uint32_t c = text[i] | std::uint32_t{text[i + 1]} << 8;
    if (c == 0) break;
    if (c >= 0xD800 && c < 0xDC00 && i + 3 < text.size()) {
      const std::uint32_t low = text[i + 2] | std::uint32_t{text[i + 3]} << 8;
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
    }
    AppendUtf8(out, c >= 0xD800 && c < 0xE000 ? kReplacement : c);
  }
  return out;
}

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

}  // namespace assay::boot
