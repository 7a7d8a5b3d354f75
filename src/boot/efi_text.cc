#include <fmt/core.h>

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

}  // namespace assay::boot
