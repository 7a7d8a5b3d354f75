#include <algorithm>
#include <cctype>

#include "boot/efi.h"

namespace assay::boot {
namespace {

constexpr std::string_view kFormat = "efi";
constexpr std::string_view kGlobal = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr std::string_view kImageSecurity = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
constexpr std::string_view kShimLock = "605dab50-e046-4300-abb6-3dd810dd8b23";

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsBootEntry(std::string_view name, std::string_view prefix) {
  return name.size() == prefix.size() + 4 && name.starts_with(prefix) &&
         std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), name.end(),
                     [](unsigned char c) { return std::isxdigit(c) != 0; });
}

// The certificate that verified an image (EV_EFI_VARIABLE_AUTHORITY): an EFI_SIGNATURE_DATA, or the
// certificate alone if shim logged it.
std::optional<Signature> AuthoritySignature(ByteView value) {
  constexpr std::size_t kOwner = 16;
  Signature s;
  s.type_name = "x509";
  s.data = value;
  if (auto certificate = ParseCertificate(value)) {
    s.certificate = std::move(*certificate);
    return s;
  }
  if (value.size() <= kOwner) return std::nullopt;
  s.owner = GuidFrom(value);
  s.data = value.subspan(kOwner);
  if (auto certificate = ParseCertificate(s.data)) {
    s.certificate = std::move(*certificate);
    return s;
  }
  if (s.data.size() != DigestSize(HashAlg::kSha256)) return std::nullopt;
  s.type_name = "sha256";
  return s;
}

void GiveMeaning(Variable& v) {
  const std::string guid = v.guid.ToString();
  const bool global = guid == kGlobal, security = guid == kImageSecurity, shim = guid == kShimLock;
  if (global && IsOneOf(v.name, {"SecureBoot", "SetupMode", "AuditMode", "DeployedMode", "VendorKeys"})) {
    if (v.value.size() == 1 && v.value[0] <= 1)
      v.meaning = v.value[0] == 1;
    else if (!v.value.empty())  // an absent variable is measured with an empty value
      v.fault = "not one byte of 0 or 1";
  } else if (global && IsOneOf(v.name, {"BootOrder", "DriverOrder", "SysPrepOrder"})) {
    BootOrder order;
    for (std::size_t i = 0; i + 1 < v.value.size(); i += 2)
      order.entries.push_back(static_cast<std::uint16_t>(v.value[i] | v.value[i + 1] << 8));
    v.meaning = std::move(order);
    if (v.value.size() % 2 != 0) v.fault = "an odd number of bytes";
  } else if (global && (IsBootEntry(v.name, "Boot") || IsBootEntry(v.name, "Driver") ||
                        IsBootEntry(v.name, "SysPrep"))) {
    auto option = ParseLoadOption(v.value);
    if (option)
      v.meaning = std::move(*option);
    else if (!v.value.empty())
      v.fault = option.error().Message();
  } else if (shim && IsOneOf(v.name, {"SbatLevel", "SbatLevelRT"})) {
    v.meaning = std::string(AsText(v.value));
  } else if ((global && IsOneOf(v.name, {"PK", "KEK"})) || security || shim) {
    auto database = ParseSignatureDatabase(v.value);
    if (database && !database->signatures.empty()) {
      v.meaning = std::move(*database);
    } else if (auto signature = AuthoritySignature(v.value)) {
      v.meaning = std::move(*signature);
    } else if (v.value.empty()) {
      v.meaning = SignatureDatabase{};
    } else if (!database && !shim) {
      v.fault = database.error().Message();
    }
  }
}

}  // namespace

Result<std::string> SizedText(Reader& r, std::string_view what) {
  ASSAY_ASSIGN(const std::uint8_t size, r.U8(what));
  ASSAY_ASSIGN(const ByteView bytes, r.Take(size, what));
  const std::string_view text = AsText(bytes);
  return std::string(text.substr(0, text.find('\0')));
}

Result<LoadOption> ParseLoadOption(ByteView value) {
  Reader r(value, kFormat);
  LoadOption option;
  ASSAY_ASSIGN(option.attributes, r.U32Le("load option attributes"));
  ASSAY_ASSIGN(const std::uint16_t path_size, r.U16Le("device path size"));
  const ByteView rest = r.rest();
  std::size_t size = 0;
  while (size + 1 < rest.size() && (rest[size] != 0 || rest[size + 1] != 0)) size += 2;
  ASSAY_ASSIGN(const ByteView description, r.Take(size + 2, "load option description"));
  option.description = FromUtf16(description);
  ASSAY_ASSIGN(option.device_path, r.Take(path_size, "device path"));
  option.optional_data = r.rest();
  return option;
}

Result<Variable> ParseVariable(ByteView data) {
  Reader r(data, kFormat);
  Variable v;
  ASSAY_ASSIGN(const ByteView guid, r.Take(16, "variable GUID"));
  v.guid = GuidFrom(guid);
  ASSAY_ASSIGN(const std::uint64_t name_length, r.U64Le("variable name length"));
  ASSAY_ASSIGN(const std::uint64_t value_length, r.U64Le("variable data length"));
  if (name_length > r.remaining() / 2) return Fail(r.BadAt(16, "variable name length"));
  ASSAY_ASSIGN(const ByteView name, r.Take(static_cast<std::size_t>(name_length) * 2, "variable name"));
  for (std::size_t i = 0; i + 3 < name.size(); i += 2) {
    // With a NUL inside, the names of two different variables would look the same.
    if (name[i] == 0 && name[i + 1] == 0) return Fail(r.BadAt(32 + i, "NUL in the variable name"));
  }
  v.name = FromUtf16(name);
  if (value_length > r.remaining()) return Fail(r.BadAt(24, "variable data length"));
  v.value_offset = static_cast<std::size_t>(r.offset());
  ASSAY_ASSIGN(v.value, r.Take(static_cast<std::size_t>(value_length), "variable data"));
  v.trailing = r.remaining();
  GiveMeaning(v);
  return v;
}

Result<ImageLoad> ParseImageLoad(ByteView data) {
  Reader r(data, kFormat);
  ImageLoad image;
  ASSAY_ASSIGN(image.address, r.U64Le("image location"));
  ASSAY_ASSIGN(image.length, r.U64Le("image length"));
  ASSAY_ASSIGN(image.link_time_address, r.U64Le("image link time address"));
  ASSAY_ASSIGN(const std::uint64_t path_length, r.U64Le("device path length"));
  if (path_length > r.remaining()) return Fail(r.BadAt(24, "device path length"));
  ASSAY_ASSIGN(image.device_path, r.Take(static_cast<std::size_t>(path_length), "device path"));
  image.trailing = r.remaining();
  return image;
}

Result<Gpt> ParseGpt(ByteView data) {
  constexpr std::size_t kEntry = 128;
  Reader r(data, kFormat);
  Gpt gpt;
  ASSAY_ASSIGN(const ByteView signature, r.Take(8, "GPT signature"));
  if (AsText(signature) != "EFI PART") return Fail(r.BadAt(0, "GPT signature"));
  ASSAY_TRY(r.Take(48, "GPT header"));  // revision, sizes, CRC, my and alternate LBA, usable LBAs
  ASSAY_ASSIGN(const ByteView disk, r.Take(16, "disk GUID"));
  gpt.disk = GuidFrom(disk);
  ASSAY_TRY(r.Take(12, "GPT entries"));  // LBA of the entries, their number on disk
  ASSAY_ASSIGN(const std::uint32_t entry_size, r.U32Le("size of a partition entry"));
  if (entry_size < kEntry) return Fail(r.BadAt(84, "size of a partition entry"));
  ASSAY_TRY(r.Take(4, "CRC of the entries"));
  ASSAY_ASSIGN(const std::uint64_t count, r.U64Le("number of partitions"));
  if (count > r.remaining() / entry_size) return Fail(r.BadAt(92, "number of partitions"));
  for (std::uint64_t i = 0; i < count; ++i) {
    ASSAY_ASSIGN(const ByteView entry, r.Take(entry_size, "partition entry"));
    Reader e(entry, kFormat, r.offset() - entry_size);
    Partition p;
    ASSAY_ASSIGN(const ByteView type, e.Take(16, "partition type"));
    ASSAY_ASSIGN(const ByteView unique, e.Take(16, "partition GUID"));
    p.type = GuidFrom(type);
    p.unique = GuidFrom(unique);
    ASSAY_ASSIGN(p.first_lba, e.U64Le("first LBA"));
    ASSAY_ASSIGN(p.last_lba, e.U64Le("last LBA"));
    ASSAY_ASSIGN(p.attributes, e.U64Le("partition attributes"));
    ASSAY_ASSIGN(const ByteView name, e.Take(72, "partition name"));
    p.name = FromUtf16(name);
    gpt.partitions.push_back(std::move(p));
  }
  gpt.trailing = r.rest();
  return gpt;
}

Result<FirmwareBlob> ParseFirmwareBlob(ByteView data) {
  Reader r(data, kFormat);
  FirmwareBlob blob;
  ASSAY_ASSIGN(blob.base, r.U64Le("blob base"));
  ASSAY_ASSIGN(blob.length, r.U64Le("blob length"));
  if (!r.done()) return Fail(r.Bad("bytes after the blob"));
  return blob;
}

Result<FirmwareBlob> ParseFirmwareBlob2(ByteView data) {
  Reader r(data, kFormat);
  ASSAY_ASSIGN(std::string description, SizedText(r, "description"));
  ASSAY_ASSIGN(FirmwareBlob blob, ParseFirmwareBlob(r.rest()));
  blob.description = std::move(description);
  return blob;
}

Result<HandoffTables> ParseHandoffTables(ByteView data) {
  constexpr std::size_t kTable = 24;
  Reader r(data, kFormat);
  HandoffTables out;
  ASSAY_ASSIGN(const std::uint64_t count, r.U64Le("number of tables"));
  if (count > r.remaining() / kTable) return Fail(r.BadAt(0, "number of tables"));
  for (std::uint64_t i = 0; i < count; ++i) {
    ASSAY_ASSIGN(const ByteView guid, r.Take(16, "table GUID"));
    ASSAY_ASSIGN(const std::uint64_t address, r.U64Le("table address"));
    out.tables.push_back({GuidFrom(guid), address});
  }
  out.trailing = r.rest();
  return out;
}

Result<HandoffTables> ParseHandoffTables2(ByteView data) {
  Reader r(data, kFormat);
  ASSAY_ASSIGN(std::string description, SizedText(r, "description"));
  ASSAY_ASSIGN(HandoffTables tables, ParseHandoffTables(r.rest()));
  tables.description = std::move(description);
  return tables;
}

}  // namespace assay::boot
