// Event logs of a measured boot, in which the firmware, the boot loader and the kernel's stub describe each
// measurement. Three formats are parsed into one list of events.
//
//   // given: ByteView file
//   ASSAY_ASSIGN(EventLog log, ParseEventLog(file));   // /sys/kernel/security/tpm0/binary_bios_measurements
//   for (const Event& event : log.events) {
//     const LogDigest* digest = event.Find(HashAlg::kSha256);
//     if (digest != nullptr) log::Info("PCR {} {}", event.index, EventTypeName(event.type));
//   }
//
// Formats: kTcg12 (TCG_PCClientPCREvent, SHA-1 only), kCryptoAgile (the same with a "Spec ID Event03" header
// and TCG_PCR_EVENT2 after it; also the CC event logs of TDX and others, whose index is a CC measurement
// register), kCelTlv (TCG Canonical Event Log in TLV form; big-endian).
//
// Contract: docs/formats/eventlog.md. A malformed log is a ParseError "parse.event-log" with the offset, and
// no event of it is returned. Events of unknown type are kept. The bytes after the last event must be all
// 0x00 or all 0xFF; they are reported as `padding`. Views live as long as the input; no allocation depends on
// a length found in it. A parsed log is only a claim: it becomes evidence when its replay (replay.h) matches
// quoted registers. Source: TCG PC Client Platform Firmware Profile 1.06, sections 10.1 to 10.4; UEFI 2.10,
// section 38.4; TCG Canonical Event Log Format 1.0, section 5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace assay::boot {

inline constexpr std::size_t kMaxLog = std::size_t{64} << 20;  // bytes; larger ones are refused
inline constexpr std::uint32_t kPcrCount = 24;
inline constexpr std::uint32_t kCcRegisterCount = 5;  // MRTD, RTMR[0..3]

enum class Format { kTcg12, kCryptoAgile, kCelTlv };
std::string_view FormatName(Format format);  // "tcg-1.2", "crypto-agile", "cel-tlv"
std::optional<Format> FormatFromName(std::string_view name);

// The registers that an event's index numbers: PCRs of a TPM, or CC measurement registers (0 MRTD, 1 to 4
// RTMR[0] to RTMR[3]).
enum class Registers { kPcr, kCc };
std::string RegisterName(Registers registers, std::uint32_t index);  // "PCR 7", "RTMR[0]"
// The CC register that stands for a PCR (UEFI 2.10, section 38.4.1); nullopt above 15.
std::optional<std::uint32_t> CcRegisterOfPcr(std::uint32_t pcr);

// Event types, TCG PFP 1.06 table 27.
inline constexpr std::uint32_t kPrebootCert = 0x0, kPostCode = 0x1, kUnused = 0x2, kNoAction = 0x3,
                               kSeparator = 0x4, kAction = 0x5, kEventTag = 0x6, kSCrtmContents = 0x7,
                               kSCrtmVersion = 0x8, kCpuMicrocode = 0x9, kPlatformConfigFlags = 0xA,
                               kTableOfDevices = 0xB, kCompactHash = 0xC, kIpl = 0xD, kIplPartitionData = 0xE,
                               kNonhostCode = 0xF, kNonhostConfig = 0x10, kNonhostInfo = 0x11,
                               kOmitBootDeviceEvents = 0x12, kPostCode2 = 0x13;
inline constexpr std::uint32_t kEfiVariableDriverConfig = 0x80000001, kEfiVariableBoot = 0x80000002,
                               kEfiBootServicesApplication = 0x80000003, kEfiBootServicesDriver = 0x80000004,
                               kEfiRuntimeServicesDriver = 0x80000005, kEfiGptEvent = 0x80000006,
                               kEfiAction = 0x80000007, kEfiPlatformFirmwareBlob = 0x80000008,
                               kEfiHandoffTables = 0x80000009, kEfiPlatformFirmwareBlob2 = 0x8000000A,
                               kEfiHandoffTables2 = 0x8000000B, kEfiVariableBoot2 = 0x8000000C,
                               kEfiGptEvent2 = 0x8000000D, kEfiHcrtmEvent = 0x80000010,
                               kEfiVariableAuthority = 0x800000E0, kEfiSpdmFirmwareBlob = 0x800000E1,
                               kEfiSpdmFirmwareConfig = 0x800000E2, kEfiSpdmDevicePolicy = 0x800000E3,
                               kEfiSpdmDeviceAuthority = 0x800000E4;
// The texts that firmware measures at ExitBootServices, PFP 1.06 section 10.4.5.
inline constexpr std::string_view kExitInvocation = "Exit Boot Services Invocation",
                                  kExitSuccess = "Exit Boot Services Returned with Success";
bool IsVariableEvent(std::uint32_t type);       // its data is a UEFI variable (UEFI_VARIABLE_DATA)
std::string EventTypeName(std::uint32_t type);  // "EV_SEPARATOR"; "0x12345678" for an unknown one
bool IsKnownEventType(std::uint32_t type);

struct LogDigest {
  std::uint16_t alg = 0;  // TPM_ALG_ID, as logged; may be unknown to us
  ByteView bytes;
};

// The fields that only a CEL record has. Content types: CEL 1.0, section 5.1. A kCelPcClientStd content gives
// the event its type and data. For all other contents the event's type is kNoCelType and its data the
// content's value.
inline constexpr std::uint8_t kCelManagement = 4, kCelPcClientStd = 5, kCelImaTemplate = 7, kCelImaTlv = 8;
inline constexpr std::uint8_t kCelPcr = 1, kCelNvIndex = 2, kCelCcRegister = 108;
inline constexpr std::uint32_t kNoCelType = 0xFFFFFFFF;
struct CelFields {
  std::uint64_t record = 0;  // its number as written
  std::uint8_t register_type = kCelPcr;
  std::uint8_t content_type = kCelPcClientStd;
  ByteView content;  // with its type and length
};

struct Event {
  std::uint64_t number = 0;  // in the log, from 0; a Spec ID header counts
  std::uint64_t offset = 0;  // of the event in the input, bytes
  std::uint32_t index = 0;   // of the register
  std::uint32_t type = 0;
  std::vector<LogDigest> digests;  // in the log's order, each algorithm once
  ByteView data;                   // the event field
  ByteView raw;                    // the whole event
  std::optional<CelFields> cel;    // kCelTlv

  const LogDigest* Find(HashAlg alg) const;
  bool measured() const { return type != kNoAction; }  // extended into its register
};

struct AlgorithmSize {
  std::uint16_t alg = 0;
  std::uint16_t size = 0;
};

struct SpecId {  // TCG_EfiSpecIDEvent, and its "Spec ID Event00" and "02" forerunners (no algorithms there)
  std::string signature;
  std::uint32_t platform_class = 0;  // 0 client, 1 server
  std::uint8_t version_minor = 0, version_major = 0, errata = 0;
  std::uint8_t uintn_size = 0;
  std::vector<AlgorithmSize> algorithms;
  ByteView vendor_info;
};

struct Padding {
  std::uint64_t offset = 0, size = 0;
  std::uint8_t byte = 0;  // 0x00 or 0xFF
};

struct EventLog {
  Format format = Format::kCryptoAgile;
  Registers registers = Registers::kPcr;
  std::optional<SpecId> spec_id;
  std::vector<AlgorithmSize> algorithms;  // the banks the log claims; kCelTlv: those of measured events
  std::vector<Event> events;
  std::optional<Padding> padding;
  // The banks whose hash can be computed here, in the log's order.
  std::vector<HashAlg> Banks() const;
  // SHA-256 if the log has it, else its strongest; nullopt: no bank can be computed.
  std::optional<HashAlg> DefaultBank() const;
};

struct ParseOptions {
  // A TCG log does not say which registers its indices number. nullopt: kCc if the only bank is SHA-384 or
  // SM3 and no event names a register above 4 (a TPM's log has separators for PCR 5 to 7).
  std::optional<Registers> registers = std::nullopt;
  // nullopt: the first bytes tell the format. Else the log is parsed as this format or refused.
  std::optional<Format> format = std::nullopt;
};
Result<EventLog> ParseEventLog(ByteView data, const ParseOptions& options = {});
Result<SpecId> ParseSpecId(ByteView event_data, std::uint64_t offset = 0);

// Writing, for tests and tools: the bytes of one event as its format has them. A kCryptoAgile log's first
// event (the header) is written with first set.
Bytes EncodeEvent(Format format, const Event& event, bool first = false);
Bytes EncodeSpecId(const std::vector<AlgorithmSize>& algorithms);  // event data of a "Spec ID Event03"

}  // namespace assay::boot
