#include "boot/event_data.h"

#include <algorithm>

#include "base/text.h"
#include "list/list.h"

namespace assay::boot {
namespace {

constexpr std::string_view kFormat = "event-data";
constexpr std::size_t kSignature = 16;

struct TagName {
  std::uint32_t id;
  std::string_view name;
};
constexpr TagName kTags[] = {
    {kTagInitrd, "initrd"},
    {kTagLoadOptions, "kernel command line"},
    {kTagLoaderConf, "loader.conf"},
    {kTagDevicetreeAddon, "devicetree addon"},
    {kTagInitrdAddon, "initrd addon"},
    {kTagUcodeAddon, "microcode addon"},
    {kTagUkiProfile, "UKI profile"},
    {kTagSmbiosType1, "SMBIOS type 1"},
    {kTagSmbiosType2, "SMBIOS type 2"},
    {kTagSmbiosType11, "SMBIOS type 11"},
    {0x40010001, "Windows, trust boundary"},
    {0x40010002, "Windows, early launch of anti-malware"},
    {0x40010003, "Windows, loaded modules"},
    {kTagWindowsTrustPoint, "Windows, trust point"},
    {0x40010005, "Windows, kernel soft reboot"},
    {0x40010006, "Windows, signed kernel soft reboot"},
};

// GRUB 2.06 and later, and the fork that RHEL 8 and Fedora shipped before.
constexpr std::string_view kGrubPrefixes[] = {
    "grub_cmd: ", "kernel_cmdline: ", "module_cmdline: ", "grub_kernel_cmdline ", "grub_cmd "};

std::string_view UpToNul(std::string_view text) { return text.substr(0, text.find('\0')); }

bool PlainAscii(ByteView b) {
  return !b.empty() && std::all_of(b.begin(), b.end(), [](std::uint8_t c) {
    return c >= 0x20 || c == '\n' || c == '\t' || c == '\r';
  });
}

bool AllZero(ByteView b) {
  return std::all_of(b.begin(), b.end(), [](std::uint8_t c) { return c == 0; });
}

// UTF-16 with mostly Latin characters: every second byte zero at the start.
bool LooksUtf16(ByteView b) { return b.size() >= 4 && b[0] != 0 && b[1] == 0 && b[3] == 0; }

struct FoundText {
  Text text;
  ByteView trailing;  // after the NUL; empty if it is all zero
};

FoundText Utf16Event(ByteView data) {
  std::size_t end = 0;
  while (end + 1 < data.size() && (data[end] != 0 || data[end + 1] != 0)) end += 2;
  const ByteView rest = data.subspan(std::min(end + 2, data.size()));
  // Without a NUL this is at most an odd byte.
  const ByteView after = end + 1 < data.size() ? rest : data.subspan(end);
  return {Text{FromUtf16(data.first(end)), "", true}, AllZero(after) ? ByteView() : after};
}

// A text ends at its first NUL. GRUB and shim have logged bytes after the text, but hash only the text. A few
// letters before other bytes are not taken for a text, unless they have a prefix of GRUB.
std::optional<FoundText> AsTextEvent(ByteView data) {
  constexpr std::size_t kShortest = 3;
  if (LooksUtf16(data)) return Utf16Event(data);
  const std::size_t nul = std::min(AsText(data).find('\0'), data.size());
  const ByteView body = data.first(nul), rest = data.subspan(std::min(nul + 1, data.size()));
  const std::string_view text = AsText(body), prefix = GrubPrefix(text);
  const bool stray = !AllZero(rest);
  if (prefix.empty() && (!PlainAscii(body) || (stray && body.size() < kShortest))) return std::nullopt;
  return FoundText{Text{std::string(text.substr(prefix.size())), std::string(prefix), false},
                   stray ? rest : ByteView()};
}

bool SetText(ByteView data, Decoded& out) {
  auto found = AsTextEvent(data);
  if (!found) return false;
  out.body = std::move(found->text);
  out.trailing = found->trailing;
  return true;
}

Result<ReferenceManifest> ParseReferenceManifest(ByteView data) {
  Reader r(data, kFormat);
  ReferenceManifest m;
  ASSAY_ASSIGN(const ByteView signature, r.Take(kSignature, "signature"));
  m.signature = std::string(UpToNul(AsText(signature)));
  ASSAY_ASSIGN(m.vendor_id, r.U32Le("vendor id"));
  ASSAY_ASSIGN(const ByteView guid, r.Take(16, "reference manifest GUID"));
  m.reference_manifest = GuidFrom(guid);
  if (m.signature == "SP800-155 Event") return m;
  ASSAY_ASSIGN(m.platform_manufacturer, SizedText(r, "platform manufacturer"));
  ASSAY_ASSIGN(m.platform_model, SizedText(r, "platform model"));
  ASSAY_ASSIGN(m.platform_version, SizedText(r, "platform version"));
  ASSAY_ASSIGN(m.firmware_manufacturer, SizedText(r, "firmware manufacturer"));
  ASSAY_ASSIGN(m.firmware_manufacturer_id, r.U32Le("firmware manufacturer id"));
  ASSAY_ASSIGN(m.firmware_version, SizedText(r, "firmware version"));
  if (m.signature == "SP800-155 Event2") return m;
  ASSAY_ASSIGN(m.rim_locator_type, r.U32Le("RIM locator type"));
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("RIM locator size"));
  ASSAY_ASSIGN(m.rim_locator, r.Take(size, "RIM locator"));
  return m;
}

Result<HcrtmComponent> ParseHcrtmComponent(ByteView data) {
  Reader r(data, kFormat);
  HcrtmComponent c;
  ASSAY_TRY(r.Take(kSignature, "signature"));
  ASSAY_ASSIGN(c.description, SizedText(r, "component description"));
  ASSAY_ASSIGN(c.format, r.U8("measurement format"));
  ASSAY_ASSIGN(const std::uint16_t size, r.U16Le("measurement size"));
  ASSAY_ASSIGN(c.measurement, r.Take(size, "measurement"));
  return c;
}

Result<TaggedEvent> ParseTagged(ByteView data) {
  Reader r(data, kFormat);
  TaggedEvent t;
  ASSAY_ASSIGN(t.id, r.U32Le("tag"));
  ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("tagged data size"));
  ASSAY_ASSIGN(t.data, r.Take(size, "tagged data"));
  for (const TagName& known : kTags) {
    if (known.id == t.id) t.name = known.name;
  }
  // Most other tags hold binary data, which may look like a text.
  const auto found = IsWindowsTag(t.id) ? std::nullopt : AsTextEvent(t.data);
  if (found && (!t.name.empty() || (found->trailing.empty() && IsPrintableAscii(found->text.text))))
    t.description = found->text.prefix + found->text.text;
  t.trailing = r.rest();
  return t;
}

Result<ImaTemplate> ParseImaTemplate(ByteView data) {
  constexpr std::uint8_t kName = 0, kData = 1;
  Reader r(data, kFormat);
  ImaTemplate t;
  while (!r.done()) {
    ASSAY_ASSIGN(const std::uint8_t type, r.U8("field"));
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Be("field size"));
    ASSAY_ASSIGN(const ByteView value, r.Take(size, "field"));
    if (type == kName) t.name = std::string(UpToNul(AsText(value)));
    if (type == kData) t.data = value;
  }
  ima::RecordView record;
  record.template_name = t.name;
  record.data = t.data;
  if (const auto entry = ima::Decode(record)) t.path = entry->path;
  return t;
}

// CEL 1.0, section 5.1: IMA_TLV.
Result<ImaTemplate> ParseImaTlv(ByteView data) {
  constexpr std::uint8_t kPath = 0;
  Reader r(data, kFormat);
  ImaTemplate t;
  t.name = "ima-tlv";
  t.data = data;
  while (!r.done()) {
    ASSAY_ASSIGN(const std::uint8_t type, r.U8("field"));
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Be("field size"));
    ASSAY_ASSIGN(const ByteView value, r.Take(size, "field"));
    if (type == kPath) t.path = std::string(UpToNul(AsText(value)));
  }
  return t;
}

template <typename T>
void Set(Result<T> parsed, Decoded& out) {
  if (parsed) {
    if constexpr (requires { parsed->trailing.data(); }) out.trailing = parsed->trailing;
    out.body = std::move(*parsed);
  } else
    out.fault = parsed.error().Message();
}

void DecodeNoAction(ByteView data, Decoded& out) {
  constexpr std::size_t kLocalityEvent = 17;
  const std::string_view text = AsText(data);
  if (text.starts_with("Spec ID Event")) {
    Set(ParseSpecId(data), out);
  } else if (text.starts_with(std::string_view("StartupLocality\0", kSignature))) {
    if (data.size() >= kLocalityEvent) {
      out.body = StartupLocality{data[kSignature]};
      out.trailing = data.subspan(kLocalityEvent);
    } else {
      out.fault = "StartupLocality has no locality";
    }
  } else if (text.starts_with("SP800-155 Event")) {
    Set(ParseReferenceManifest(data), out);
  } else if (text.starts_with("H-CRTM CompMeas")) {
    Set(ParseHcrtmComponent(data), out);
  } else {
    SetText(data, out);
  }
}

void DecodeSeparator(ByteView data, Decoded& out) {
  Reader r(data, kFormat);
  const auto value = r.U32Le("separator");
  const bool known = value && (*value == 0 || *value == 0xFFFFFFFF || *value == 1);
  if (value && (r.done() || known)) {
    out.body = Separator{*value};
    out.trailing = r.rest();
  } else
    out.fault = "a separator is not four bytes long";
}

// Firmware volumes, POST code and S-CRTM contents: an address and a length, the same with a name, or only a
// text. Some firmware logs one form with the type of another.
void DecodeBlob(ByteView data, bool named, Decoded& out) {
  constexpr std::size_t kBlob = 16;
  ByteView body = data;
  while (!body.empty() && body.back() == 0) body = body.first(body.size() - 1);
  auto plain = ParseFirmwareBlob(data), with_name = ParseFirmwareBlob2(data);
  const std::size_t named_size = 1 + std::size_t{data.empty() ? std::uint8_t{0} : data[0]} + kBlob;
  const auto padded = [&](std::size_t size) {
    return data.size() > size && AllZero(data.subspan(size)) && !AllZero(data.first(size));
  };
  if (PlainAscii(body))
    out.body = Text{std::string(AsText(body)), "", false};
  else if (with_name)
    out.body = std::move(*with_name);
  else if (plain)
    out.body = std::move(*plain);
  else if (named && padded(named_size))
    Set(ParseFirmwareBlob2(data.first(named_size)), out), out.trailing = data.subspan(named_size);
  else if (!named && padded(kBlob))
    Set(ParseFirmwareBlob(data.first(kBlob)), out), out.trailing = data.subspan(kBlob);
  else if (!SetText(data, out))
    out.fault = (named ? with_name : plain).error().Message();
}

// The types whose data is a text, according to the profile or because loaders write texts there. The data of
// other types only may look like a text: a maker's structure can begin with a name.
bool IsTextType(std::uint32_t type) {
  return type == kIpl || type == kAction || type == kEfiAction || type == kSCrtmVersion ||
         type == kOmitBootDeviceEvents || type == kCompactHash;
}

}  // namespace

bool IsWindowsTag(std::uint32_t id) {
  return (id >= kTagWindowsFirst && id <= kTagWindowsLast) || id == kTagWindowsTrustPoint;
}

std::string_view GrubPrefix(std::string_view text) {
  for (std::string_view prefix : kGrubPrefixes) {
    if (text.starts_with(prefix)) return prefix;
  }
  return {};
}

Decoded DecodeEvent(const EventLog& log, const Event& event) {
  Decoded out;
  const ByteView data = event.data;
  if (log.format == Format::kCelTlv && event.type == kNoCelType) {
    if (event.cel->content_type == kCelImaTemplate)
      Set(ParseImaTemplate(data), out);
    else if (event.cel->content_type == kCelImaTlv)
      Set(ParseImaTlv(data), out);
    else
      SetText(data, out);
    return out;
  }
  if (IsVariableEvent(event.type)) {
    Set(ParseVariable(data), out);
    return out;
  }
  switch (event.type) {
    case kNoAction:
      DecodeNoAction(data, out);
      break;
    case kSeparator:
      DecodeSeparator(data, out);
      break;
    case kEventTag:
      Set(ParseTagged(data), out);
      break;
    case kEfiBootServicesApplication:
    case kEfiBootServicesDriver:
    case kEfiRuntimeServicesDriver:
      Set(ParseImageLoad(data), out);
      break;
    case kEfiGptEvent:
    case kEfiGptEvent2:
      Set(ParseGpt(data), out);
      break;
    case kEfiPlatformFirmwareBlob:
    case kEfiPlatformFirmwareBlob2:
    case kPostCode:
    case kPostCode2:
    case kSCrtmContents:
      DecodeBlob(data, event.type == kEfiPlatformFirmwareBlob2 || event.type == kPostCode2, out);
      break;
    case kEfiHandoffTables:
      Set(ParseHandoffTables(data), out);
      break;
    case kEfiHandoffTables2:
      Set(ParseHandoffTables2(data), out);
      break;
    default:
      SetText(data, out);
      if (const auto* text = std::get_if<Text>(&out.body);
          text != nullptr && text->prefix.empty() && !out.trailing.empty() && !IsTextType(event.type))
        out = Decoded();
      break;
  }
  return out;
}

}  // namespace assay::boot
