#include <fmt/core.h>

#include "base/text.h"
#include "boot/efi.h"

namespace assay::boot {
namespace {

// One node's payload, read leniently: a node that is too short is printed as raw bytes by the caller.
struct Node {
  std::uint8_t type = 0, subtype = 0;
  ByteView data;
};

std::uint64_t Le(ByteView b, std::size_t at, std::size_t n) {
  std::uint64_t v = 0;
  for (std::size_t i = n; i-- > 0;) v = v << 8 | b[at + i];
  return v;
}

std::string Raw(const Node& n) { return fmt::format("Path({},{},{})", n.type, n.subtype, Hex(n.data)); }

std::string Hardware(const Node& n) {
  const ByteView d = n.data;
  switch (n.subtype) {
    case 1:
      if (d.size() == 2) return fmt::format("Pci({:#x},{:#x})", d[1], d[0]);
      break;
    case 3:
      if (d.size() == 20)
        return fmt::format("MemoryMapped({:#x},{:#x},{:#x})", Le(d, 0, 4), Le(d, 4, 8), Le(d, 12, 8));
      break;
    case 4:
      if (d.size() >= 16)
        return fmt::format("VenHw({}{}{})", GuidFrom(d).ToString(), d.size() > 16 ? "," : "",
                           Hex(d.subspan(16)));
      break;
    case 5:
      if (d.size() == 4) return fmt::format("Ctrl({:#x})", Le(d, 0, 4));
      break;
    default:
      break;
  }
  return Raw(n);
}

std::string Acpi(const Node& n) {
  const ByteView d = n.data;
  if (n.subtype == 3 && d.size() >= 4) return fmt::format("AcpiAdr({:#x})", Le(d, 0, 4));
  if ((n.subtype != 1 && n.subtype != 2) || d.size() < (n.subtype == 1 ? 8U : 12U)) return Raw(n);
  const std::uint64_t hid = Le(d, 0, 4), uid = Le(d, 4, 4);
  constexpr std::uint64_t kPnp = 0x41D0;  // the compressed text "PNP"
  if ((hid & 0xFFFF) == kPnp) {
    const std::uint64_t number = hid >> 16;
    if (number == 0x0A03) return fmt::format("PciRoot({:#x})", uid);
    if (number == 0x0A08) return fmt::format("PcieRoot({:#x})", uid);
    return fmt::format("Acpi(PNP{:04X},{:#x})", number, uid);
  }
  return fmt::format("Acpi({:#010x},{:#x})", hid, uid);
}

std::string Address(ByteView b) {
  std::string out;
  for (std::size_t i = 0; i < b.size(); ++i) out += fmt::format("{}{}", i == 0 ? "" : ".", b[i]);
  return out;
}

std::string Messaging(const Node& n) {
  const ByteView d = n.data;
  switch (n.subtype) {
    case 1:
      if (d.size() == 4) return fmt::format("Ata({},{},{:#x})", d[0], d[1], Le(d, 2, 2));
      break;
    case 2:
      if (d.size() == 4) return fmt::format("Scsi({:#x},{:#x})", Le(d, 0, 2), Le(d, 2, 2));
      break;
    case 5:
      if (d.size() == 2) return fmt::format("USB({:#x},{:#x})", d[0], d[1]);
      break;
    case 10:
      if (d.size() >= 16)
        return fmt::format("VenMsg({}{}{})", GuidFrom(d).ToString(), d.size() > 16 ? "," : "",
                           Hex(d.subspan(16)));
      break;
    case 11:
      if (d.size() == 33) return fmt::format("MAC({},{:#x})", Hex(d.first(d[32] <= 1 ? 6 : 32)), d[32]);
      break;
    case 12:
      if (d.size() >= 15) return fmt::format("IPv4({})", Address(d.subspan(4, 4)));
      break;
    case 13:
      if (d.size() >= 32) return fmt::format("IPv6({})", Hex(d.subspan(16, 16)));
      break;
    case 15:
      if (d.size() == 7)
        return fmt::format("UsbClass({:#x},{:#x},{:#x},{:#x},{:#x})", Le(d, 0, 2), Le(d, 2, 2), d[4], d[5],
                           d[6]);
      break;
    case 17:
      if (d.size() == 1) return fmt::format("Unit({:#x})", d[0]);
      break;
    case 18:
      if (d.size() == 6) return fmt::format("Sata({:#x},{:#x},{:#x})", Le(d, 0, 2), Le(d, 2, 2), Le(d, 4, 2));
      break;
    case 20:
      if (d.size() == 2) return fmt::format("Vlan({})", Le(d, 0, 2));
      break;
    case 23:
      if (d.size() == 12) return fmt::format("NVMe({:#x},{})", Le(d, 0, 4), Hex(d.subspan(4)));
      break;
    case 24:
      return fmt::format("Uri({})", Printable(AsText(d)));
    case 25:
      if (d.size() == 2) return fmt::format("UFS({:#x},{:#x})", d[0], d[1]);
      break;
    case 26:
      if (d.size() == 1) return fmt::format("SD({:#x})", d[0]);
      break;
    case 29:
      if (d.size() == 1) return fmt::format("eMMC({:#x})", d[0]);
      break;
    default:
      break;
  }
  return Raw(n);
}

std::string HardDrive(const Node& n) {
  const ByteView d = n.data;
  if (d.size() != 38) return Raw(n);
  const std::uint64_t number = Le(d, 0, 4), start = Le(d, 4, 8), size = Le(d, 12, 8);
  const ByteView signature = d.subspan(20, 16);
  const std::uint8_t signature_type = d[37];
  if (signature_type == 2)
    return fmt::format("HD({},GPT,{},{:#x},{:#x})", number, GuidFrom(signature).ToString(), start, size);
  if (signature_type == 1)
    return fmt::format("HD({},MBR,{:#010x},{:#x},{:#x})", number, Le(signature, 0, 4), start, size);
  return fmt::format("HD({},{},{},{:#x},{:#x})", number, signature_type, Hex(signature), start, size);
}

std::string Media(const Node& n) {
  const ByteView d = n.data;
  switch (n.subtype) {
    case 1:
      return HardDrive(n);
    case 2:
      if (d.size() == 20)
        return fmt::format("CDROM({:#x},{:#x},{:#x})", Le(d, 0, 4), Le(d, 4, 8), Le(d, 12, 8));
      break;
    case 3:
      if (d.size() >= 16)
        return fmt::format("VenMedia({}{}{})", GuidFrom(d).ToString(), d.size() > 16 ? "," : "",
                           Hex(d.subspan(16)));
      break;
    case 4:
      return Printable(FromUtf16(d));
    case 5:
      if (d.size() == 16) return fmt::format("Media({})", GuidFrom(d).ToString());
      break;
    case 6:
      if (d.size() == 16) return fmt::format("FvFile({})", GuidFrom(d).ToString());
      break;
    case 7:
      if (d.size() == 16) return fmt::format("Fv({})", GuidFrom(d).ToString());
      break;
    case 8:
      if (d.size() == 20) return fmt::format("Offset({:#x},{:#x})", Le(d, 4, 8), Le(d, 12, 8));
      break;
    case 9:
      if (d.size() == 34)
        return fmt::format("RamDisk({:#x},{:#x},{})", Le(d, 0, 8), Le(d, 8, 8),
                           GuidFrom(d.subspan(16)).ToString());
      break;
    default:
      break;
  }
  return Raw(n);
}

std::string Bios(const Node& n) {
  const ByteView d = n.data;
  if (n.subtype != 1 || d.size() < 4) return Raw(n);
  const std::string_view text = AsText(d.subspan(4));
  return fmt::format("BBS({:#x},{})", Le(d, 0, 2), Printable(text.substr(0, text.find('\0'))));
}

std::string NodeText(const Node& n) {
  switch (n.type) {
    case 1:
      return Hardware(n);
    case 2:
      return Acpi(n);
    case 3:
      return Messaging(n);
    case 4:
      return Media(n);
    case 5:
      return Bios(n);
    default:
      return Raw(n);
  }
}

}  // namespace

std::string DevicePathText(ByteView path) {
  constexpr std::uint8_t kEnd = 0x7F, kEndInstance = 0x01;
  std::string out;
  bool first = true;
  Reader r(path, "efi");
  while (!r.done()) {
    const auto type = r.U8(), subtype = r.U8();
    const auto size = r.U16Le();
    if (!type || !subtype || !size || *size < 4 || *size - 4U > r.remaining()) return out + "<truncated>";
    const auto data = r.Take(*size - 4U, "node");
    if (!data) return out + "<truncated>";
    if (*type == kEnd) {
      if (*subtype != kEndInstance)
        return r.done() ? out : out + fmt::format("<{} bytes after the end>", r.remaining());
      out += ',';
      first = true;
      continue;
    }
    if (!first) out += '/';
    first = false;
    out += NodeText({*type, *subtype, *data});
  }
  return path.empty() ? out : out + "<no end>";
}

}  // namespace assay::boot
