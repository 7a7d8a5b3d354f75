// What UEFI puts into event data: GUIDs, UTF-16 text, variables, signature databases, load options, device
// paths, the partition table.
//
//   // given: ByteView event_data, const LoadOption& option
//   ASSAY_ASSIGN(Variable variable, ParseVariable(event_data));            // UEFI_VARIABLE_DATA
//   if (const auto* db = std::get_if<SignatureDatabase>(&variable.meaning)) {
//     for (const Signature& s : db->signatures) log::Info("{} of {}", s.type_name, GuidLabel(s.owner));
//   }
//   log::Info("{}", DevicePathText(option.device_path));                   // "PciRoot(0x0)/Pci(0x3,0x0)/..."
//
// Contract: integers are little-endian, text is UTF-16LE (invalid code units become U+FFFD). All texts that
// the functions return are UTF-8. Bad input is a ParseError "parse.efi" whose offset counts from the start of
// the bytes given. No allocation depends on a length found in the input; views live as long as the input.
// These functions do not check that the bytes were measured: proof.h does. Source: UEFI 2.10
// (sections 3.1.3, 5.3, 8.2, 10.3, 32.4.1), TCG PC Client Platform Firmware Profile 1.06 (section 10.2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace assay::boot {

struct Guid {
  std::array<std::uint8_t, 16> bytes{};  // as they lie in memory: the first three groups little-endian
  std::string ToString() const;          // "8be4df61-93ca-11d2-aa0d-00e098032b8c"
  friend bool operator==(const Guid&, const Guid&) = default;
};
Guid GuidFrom(ByteView sixteen_bytes);                 // the first 16 bytes
std::string_view GuidName(const Guid& guid);           // "EFI_GLOBAL_VARIABLE"; empty: unknown
std::string GuidLabel(const Guid& guid);               // the name, else the digits
bool IsGuid(const Guid& guid, std::string_view text);  // text: as ToString() prints it

// A size in one byte and so many bytes of text; what follows a NUL in it is padding.
Result<std::string> SizedText(Reader& r, std::string_view what);
// UTF-16LE to UTF-8, up to the end or the first NUL.
std::string FromUtf16(ByteView text);

struct Certificate {
  std::string subject, issuer;  // RFC 2253
  std::string serial;           // hexadecimal
  std::string not_before, not_after;
  Digest fingerprint;  // SHA-256 of the DER
};
Result<Certificate> ParseCertificate(ByteView der);  // LibError if OpenSSL can't parse it

// One EFI_SIGNATURE_DATA with its list's type.
struct Signature {
  Guid type;              // EFI_CERT_X509_GUID, EFI_CERT_SHA256_GUID, ...
  std::string type_name;  // "x509", "sha256", "x509-sha256", ..., else the GUID
  Guid owner;
  ByteView data;                           // without the owner
  std::optional<Certificate> certificate;  // of an x509 signature that OpenSSL can parse
};
struct SignatureDatabase {
  std::vector<Signature> signatures;  // all lists' signatures, in order
};
Result<SignatureDatabase> ParseSignatureDatabase(ByteView value);

struct LoadOption {
  std::uint32_t attributes = 0;  // bit 0: active
  std::string description;
  ByteView device_path;
  ByteView optional_data;
};
Result<LoadOption> ParseLoadOption(ByteView value);

// The path as text, nodes joined by "/", instances by ",". An unknown node is written as
// Path(type,subtype,hex). A path that ends early ends in "<truncated>".
std::string DevicePathText(ByteView path);

struct BootOrder {
  std::vector<std::uint16_t> entries;  // of Boot####
};

// UEFI_VARIABLE_DATA. `meaning` is the decoded value of a variable whose format we know by its name. It is
// monostate for other variables, and for a value that does not have that format; `fault` then says why.
struct Variable {
  Guid guid;
  std::string name;
  ByteView value;
  std::size_t value_offset = 0;  // of the value in the event data
  std::size_t trailing = 0;      // bytes after the value (shim logs some)
  std::variant<std::monostate, bool, SignatureDatabase, Signature, LoadOption, BootOrder, std::string>
      meaning;
  std::string fault;
};
Result<Variable> ParseVariable(ByteView data);

// UEFI_IMAGE_LOAD_EVENT.
struct ImageLoad {
  std::uint64_t address = 0, length = 0, link_time_address = 0;
  ByteView device_path;
  std::size_t trailing = 0;
};
Result<ImageLoad> ParseImageLoad(ByteView data);

struct Partition {
  Guid type, unique;
  std::uint64_t first_lba = 0, last_lba = 0, attributes = 0;
  std::string name;
};
struct Gpt {  // UEFI_GPT_DATA
  Guid disk;
  std::vector<Partition> partitions;
  ByteView trailing;  // bytes after the partitions
};
Result<Gpt> ParseGpt(ByteView data);

struct FirmwareBlob {  // UEFI_PLATFORM_FIRMWARE_BLOB and _BLOB2
  std::string description;
  std::uint64_t base = 0, length = 0;
};
Result<FirmwareBlob> ParseFirmwareBlob(ByteView data);
Result<FirmwareBlob> ParseFirmwareBlob2(ByteView data);

struct HandoffTables {  // UEFI_HANDOFF_TABLE_POINTERS and _POINTERS2
  std::string description;
  struct Table {
    Guid guid;
    std::uint64_t address = 0;
  };
  std::vector<Table> tables;
  ByteView trailing;  // bytes after the tables
};
Result<HandoffTables> ParseHandoffTables(ByteView data);
Result<HandoffTables> ParseHandoffTables2(ByteView data);

}  // namespace assay::boot
