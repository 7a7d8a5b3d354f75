#include <fmt/core.h>

#include "base/name_table.h"
#include "boot/event_log.h"

namespace assay::boot {
namespace {

struct TypeName {
  std::uint32_t type;
  std::string_view name;
};

constexpr TypeName kTypes[] = {
    {kPrebootCert, "EV_PREBOOT_CERT"},
    {kPostCode, "EV_POST_CODE"},
    {kUnused, "EV_UNUSED"},
    {kNoAction, "EV_NO_ACTION"},
    {kSeparator, "EV_SEPARATOR"},
    {kAction, "EV_ACTION"},
    {kEventTag, "EV_EVENT_TAG"},
    {kSCrtmContents, "EV_S_CRTM_CONTENTS"},
    {kSCrtmVersion, "EV_S_CRTM_VERSION"},
    {kCpuMicrocode, "EV_CPU_MICROCODE"},
    {kPlatformConfigFlags, "EV_PLATFORM_CONFIG_FLAGS"},
    {kTableOfDevices, "EV_TABLE_OF_DEVICES"},
    {kCompactHash, "EV_COMPACT_HASH"},
    {kIpl, "EV_IPL"},
    {kIplPartitionData, "EV_IPL_PARTITION_DATA"},
    {kNonhostCode, "EV_NONHOST_CODE"},
    {kNonhostConfig, "EV_NONHOST_CONFIG"},
    {kNonhostInfo, "EV_NONHOST_INFO"},
    {kOmitBootDeviceEvents, "EV_OMIT_BOOT_DEVICE_EVENTS"},
    {kPostCode2, "EV_POST_CODE2"},
    {kEfiVariableDriverConfig, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
    {kEfiVariableBoot, "EV_EFI_VARIABLE_BOOT"},
    {kEfiBootServicesApplication, "EV_EFI_BOOT_SERVICES_APPLICATION"},
    {kEfiBootServicesDriver, "EV_EFI_BOOT_SERVICES_DRIVER"},
    {kEfiRuntimeServicesDriver, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
    {kEfiGptEvent, "EV_EFI_GPT_EVENT"},
    {kEfiAction, "EV_EFI_ACTION"},
    {kEfiPlatformFirmwareBlob, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
    {kEfiHandoffTables, "EV_EFI_HANDOFF_TABLES"},
    {kEfiPlatformFirmwareBlob2, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
    {kEfiHandoffTables2, "EV_EFI_HANDOFF_TABLES2"},
    {kEfiVariableBoot2, "EV_EFI_VARIABLE_BOOT2"},
    {kEfiGptEvent2, "EV_EFI_GPT_EVENT2"},
    {kEfiHcrtmEvent, "EV_EFI_HCRTM_EVENT"},
    {kEfiVariableAuthority, "EV_EFI_VARIABLE_AUTHORITY"},
    {kEfiSpdmFirmwareBlob, "EV_EFI_SPDM_FIRMWARE_BLOB"},
    {kEfiSpdmFirmwareConfig, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
    {kEfiSpdmDevicePolicy, "EV_EFI_SPDM_DEVICE_POLICY"},
    {kEfiSpdmDeviceAuthority, "EV_EFI_SPDM_DEVICE_AUTHORITY"},
};

std::string_view Find(std::uint32_t type) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known.name;
  }
  return {};
}

constexpr auto kFormats = Names<Format>(
    {{Format::kTcg12, "tcg-1.2"}, {Format::kCryptoAgile, "crypto-agile"}, {Format::kCelTlv, "cel-tlv"}});

}  // namespace

std::string EventTypeName(std::uint32_t type) {
  const std::string_view name = Find(type);
  return name.empty() ? fmt::format("{:#010x}", type) : std::string(name);
}

bool IsKnownEventType(std::uint32_t type) { return !Find(type).empty(); }

bool IsVariableEvent(std::uint32_t type) {
  return type == kEfiVariableDriverConfig || type == kEfiVariableBoot || type == kEfiVariableBoot2 ||
         type == kEfiVariableAuthority || type == kEfiSpdmDevicePolicy || type == kEfiSpdmDeviceAuthority;
}

std::string_view FormatName(Format format) { return kFormats.Of(format); }

std::optional<Format> FormatFromName(std::string_view name) { return kFormats.Find(name); }

std::string RegisterName(Registers registers, std::uint32_t index) {
  if (registers == Registers::kPcr) return fmt::format("PCR {}", index);
  return index == 0 ? "MRTD" : fmt::format("RTMR[{}]", index - 1);
}

std::optional<std::uint32_t> CcRegisterOfPcr(std::uint32_t pcr) {
  if (pcr == 0) return 0;
  if (pcr == 1 || pcr == 7) return 1;
  if (pcr <= 6) return 2;
  if (pcr <= 15) return 3;
  return std::nullopt;
}

}  // namespace assay::boot
