// The event field of one event, decoded according to its type.
//
//   // given: const EventLog& log, const Event& event
//   const Decoded decoded = DecodeEvent(log, event);
//   if (const auto* variable = std::get_if<Variable>(&decoded.body)) log::Info("{}", variable->name);
//   if (!decoded.fault.empty()) log::Info("does not fit its type: {}", decoded.fault);
//
// Contract: never fails. Event data that does not have the format of its type leaves `body` empty, and
// `fault` says why. Padding behind a structure is in `trailing`. Texts are UTF-8 as found, control characters
// included: print them through Printable(). Views point into the log's input. These functions do not check
// that the data was measured: proof.h does. Source: TCG PC Client Platform Firmware Profile 1.06,
// sections 10.2 and 10.4; for the tags systemd's src/fundamental/tpm2-pcr.h and Linux's
// drivers/firmware/efi/libstub/efistub.h.
#pragma once

#include <string>
#include <variant>

#include "boot/efi.h"
#include "boot/event_log.h"

namespace assay::boot {

struct StartupLocality {  // EV_NO_ACTION: where TPM2_Startup came from, which is PCR 0's first value
  std::uint8_t locality = 0;
};
struct ReferenceManifest {  // EV_NO_ACTION "SP800-155 Event", "Event2", "Event3"
  std::string signature;
  std::uint32_t vendor_id = 0;  // IANA enterprise number
  Guid reference_manifest;
  std::string platform_manufacturer, platform_model, platform_version;
  std::string firmware_manufacturer, firmware_version;
  std::uint32_t firmware_manufacturer_id = 0;
  std::uint32_t rim_locator_type = 0;  // Event3: 0 raw, 1 URI, 2 device path, 3 UEFI variable
  ByteView rim_locator;
};
struct HcrtmComponent {  // EV_NO_ACTION "H-CRTM CompMeas"
  std::string description;
  std::uint8_t format = 0;
  ByteView measurement;
};
struct Separator {
  std::uint32_t value = 0;
};
struct TaggedEvent {  // TCG_PCClientTaggedEvent
  std::uint32_t id = 0;
  std::string_view name;    // "initrd", "loader.conf", ...; empty: unknown
  std::string description;  // the tagged data as text, UTF-16 or ASCII
  ByteView data;
  ByteView trailing;
};
struct ImaTemplate {  // CEL: an IMA record, as a template or as TLVs (name "ima-tlv")
  std::string name;
  ByteView data;
  std::string path;  // empty: the data can't be decoded
};
// The text of EV_ACTION, EV_IPL, EV_S_CRTM_VERSION and others. GRUB writes `prefix` in front of the text that
// it measured.
struct Text {
  std::string text;    // without the prefix
  std::string prefix;  // "grub_cmd: ", "kernel_cmdline: ", or empty
  bool utf16 = false;
};

struct Decoded {
  std::variant<std::monostate, SpecId, StartupLocality, ReferenceManifest, HcrtmComponent, Separator,
               TaggedEvent, Text, Variable, ImageLoad, Gpt, FirmwareBlob, HandoffTables, ImaTemplate>
      body;
  std::string fault;
  ByteView trailing;  // the bytes after the body: padding or stray bytes; zeros behind a text are left out
};
Decoded DecodeEvent(const EventLog& log, const Event& event);

// Prefixes that GRUB logs, and does not measure, in front of commands and command lines.
std::string_view GrubPrefix(std::string_view text);

// Known tags of EV_EVENT_TAG. The tags of Windows are those of its own log (SIPA events) and hold no text.
inline constexpr std::uint32_t kTagWindowsFirst = 0x40010001, kTagWindowsLast = 0x40010006,
                               kTagWindowsTrustPoint = 0xC0010004;
bool IsWindowsTag(std::uint32_t id);
inline constexpr std::uint32_t kTagInitrd = 0x8F3B22EC, kTagLoadOptions = 0x8F3B22ED,
                               kTagLoaderConf = 0xF5BC582A, kTagDevicetreeAddon = 0x6C46F751,
                               kTagInitrdAddon = 0x49DFFE0F, kTagUcodeAddon = 0xDAC08E1A,
                               kTagUkiProfile = 0x13AED6DB, kTagSmbiosType1 = 0xD5CB7CBC,
                               kTagSmbiosType2 = 0xE0D47BC8, kTagSmbiosType11 = 0xC0B3BD23;

}  // namespace assay::boot
