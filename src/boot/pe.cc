#include "boot/pe.h"

#include <algorithm>

namespace assay::boot {
namespace {

constexpr std::string_view kFormat = "pe";
constexpr std::size_t kDosHeader = 64, kCoffHeader = 24, kSectionHeader = 40;
constexpr std::size_t kCertificateEntry = 4;  // IMAGE_DIRECTORY_ENTRY_SECURITY
constexpr std::size_t kMaxDirectories = 16, kDirectoryEntry = 8;

struct Headers {
  std::size_t section_table = 0;
  std::uint16_t sections = 0;
  std::uint32_t size = 0;  // SizeOfHeaders
};

// The data directory, of which only the entry of the certificate table matters here.
Result<> ParseDirectories(Reader& r, std::size_t optional_end, PeImage& image) {
  const std::uint64_t at = r.offset();
  ASSAY_ASSIGN(const std::uint32_t count, r.U32Le("NumberOfRvaAndSizes"));
  if (count > kMaxDirectories || r.offset() + count * kDirectoryEntry != optional_end)
    return Fail(r.BadAt(at, "the data directory does not fill the optional header"));
  image.certificates_at = image.file.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t entry = r.offset();
    ASSAY_ASSIGN(const std::uint32_t offset, r.U32Le("data directory"));
    ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("data directory"));
    if (i != kCertificateEntry) continue;
    image.certificate_entry_at = entry;
    if (offset == 0 && size == 0) continue;
    if (offset % 8 != 0 || size == 0 || std::uint64_t{offset} + size != image.file.size())
      return Fail(r.BadAt(entry, "the certificate table is not at the end of the file"));
    image.certificates_at = offset;
  }
  return {};
}

Result<Headers> ParseHeaders(PeImage& image) {
  constexpr std::uint16_t kPe32 = 0x10B, kPe32Plus = 0x20B;
  Reader dos(image.file, kFormat);
  ASSAY_ASSIGN(const ByteView dos_header, dos.Take(kDosHeader, "DOS header"));
  if (dos_header[0] != 'M' || dos_header[1] != 'Z') return Fail(dos.BadAt(0, "no MZ"));
  Reader address(dos_header.subspan(kDosHeader - 4), kFormat, kDosHeader - 4);
  ASSAY_ASSIGN(const std::uint32_t pe_at, address.U32Le());
  if (pe_at < kDosHeader || pe_at > image.file.size())
    return Fail(dos.BadAt(kDosHeader - 4, "the PE header lies outside the file"));
  Reader r(image.file.subspan(pe_at), kFormat, pe_at);
  ASSAY_ASSIGN(const std::uint32_t signature, r.U32Le("PE signature"));
  if (signature != 0x00004550) return Fail(r.BadAt(pe_at, "no PE signature"));
  Headers h;
  ASSAY_ASSIGN(image.machine, r.U16Le("Machine"));
  ASSAY_ASSIGN(h.sections, r.U16Le("NumberOfSections"));
  if (h.sections == 0 || h.sections > kMaxPeSections) return Fail(r.BadAt(pe_at + 6, "number of sections"));
  ASSAY_TRY(r.Take(12, "COFF header"));  // TimeDateStamp, PointerToSymbolTable, NumberOfSymbols
  ASSAY_ASSIGN(const std::uint16_t optional_size, r.U16Le("SizeOfOptionalHeader"));
  ASSAY_TRY(r.Take(2, "Characteristics"));
  const std::size_t optional_at = pe_at + kCoffHeader;
  ASSAY_ASSIGN(const std::uint16_t magic, r.U16Le("optional header"));
  if (magic != kPe32 && magic != kPe32Plus) return Fail(r.BadAt(optional_at, "neither PE32 nor PE32+"));
  ASSAY_TRY(r.Take(58, "optional header"));
  ASSAY_ASSIGN(h.size, r.U32Le("SizeOfHeaders"));
  image.checksum_at = optional_at + 64;
  ASSAY_TRY(r.Take(4, "CheckSum"));
  // Subsystem to LoaderFlags; the sizes of stack and heap have 4 bytes each in PE32, 8 in PE32+.
  ASSAY_TRY(r.Take(magic == kPe32 ? 24 : 40, "optional header"));
  h.section_table = optional_at + optional_size;
  ASSAY_TRY(ParseDirectories(r, h.section_table, image));
  if (h.size < h.section_table + h.sections * kSectionHeader || h.size > image.certificates_at)
    return Fail(r.BadAt(optional_at + 60, "SizeOfHeaders"));
  return h;
}

struct Extent {
  std::uint32_t begin = 0, size = 0;
  std::uint64_t header_at = 0;
};

Result<> ParseSections(const Headers& h, PeImage& image) {
  Reader r(image.file.subspan(h.section_table), kFormat, h.section_table);
  std::vector<Extent> extents;
  for (std::uint16_t i = 0; i < h.sections; ++i) {
    Extent e;
    e.header_at = r.offset();
    PeSection s;
    ASSAY_ASSIGN(const ByteView name, r.Take(8, "section name"));
    s.name = std::string(AsText(name).substr(0, AsText(name).find('\0')));
    ASSAY_ASSIGN(s.virtual_size, r.U32Le("VirtualSize"));
    ASSAY_ASSIGN(s.virtual_address, r.U32Le("VirtualAddress"));
    ASSAY_ASSIGN(e.size, r.U32Le("SizeOfRawData"));
    ASSAY_ASSIGN(e.begin, r.U32Le("PointerToRawData"));
    ASSAY_TRY(r.Take(16, "section header"));
    if (std::uint64_t{e.begin} + e.size > image.certificates_at)
      return Fail(r.BadAt(e.header_at, "a section ends beyond the end of the file"));
    if (e.size != 0) {
      s.raw = image.file.subspan(e.begin, e.size);
      extents.push_back(e);
    }
    s.content = s.raw.first(std::min<std::size_t>(s.virtual_size, s.raw.size()));
    image.sections.push_back(std::move(s));
  }
  // The digest covers the sections in the order of the file and then the bytes from the sum of their sizes
  // on. With a gap or an overlap this sum is not the end of the sections, and signers handle that
  // differently.
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  std::uint64_t end = h.size;
  for (const Extent& e : extents) {
    if (e.begin != end) return Fail(r.BadAt(e.header_at, "a gap or an overlap before this section"));
    end += e.size;
  }
  return {};
}

Result<> ParseCertificates(PeImage& image) {
  constexpr std::uint16_t kPkcsSignedData = 0x0002;
  constexpr std::size_t kHeader = 8;
  Reader r(image.file.subspan(image.certificates_at), kFormat, image.certificates_at);
  for (std::size_t n = 0; !r.done(); ++n) {
    const std::uint64_t at = r.offset();
    if (n == kMaxPeSignatures) return Fail(r.BadAt(at, "too many certificates"));
    ASSAY_ASSIGN(const std::uint32_t length, r.U32Le("certificate length"));
    if (length < kHeader) return Fail(r.BadAt(at, "certificate length"));
    ASSAY_TRY(r.Take(2, "certificate revision"));
    ASSAY_ASSIGN(const std::uint16_t type, r.U16Le("certificate type"));
    ASSAY_ASSIGN(const ByteView data, r.Take(length - kHeader, "certificate"));
    if (type == kPkcsSignedData) image.signatures.push_back(data);
    // Each entry begins at a multiple of 8; the last one's padding may be left out.
    const std::size_t padding = (8 - length % 8) % 8;
    ASSAY_TRY(r.Take(std::min(padding, r.remaining()), "padding"));
  }
  return {};
}

}  // namespace

bool LooksLikePe(ByteView file) { return file.size() > kDosHeader && file[0] == 'M' && file[1] == 'Z'; }

Result<PeImage> ParsePe(ByteView file) {
  if (file.size() > kMaxPe) return Fail(ParseError(std::string(kFormat), kMaxPe, "too large"));
  PeImage image;
  image.file = file;
  ASSAY_ASSIGN(const Headers headers, ParseHeaders(image));
  ASSAY_TRY(ParseSections(headers, image));
  ASSAY_TRY(ParseCertificates(image));
  return image;
}

Digest PeImage::Authenticode(HashAlg alg) const {
  Hasher hasher(alg);
  const std::size_t after_checksum = checksum_at + 4;
  hasher.Update(file.first(checksum_at));
  if (certificate_entry_at) {
    hasher.Update(file.subspan(after_checksum, *certificate_entry_at - after_checksum));
    const std::size_t after_entry = *certificate_entry_at + kDirectoryEntry;
    hasher.Update(file.subspan(after_entry, certificates_at - after_entry));
  } else {
    hasher.Update(file.subspan(after_checksum, certificates_at - after_checksum));
  }
  return hasher.Finish();
}

const PeSection* PeImage::Find(std::string_view name) const {
  const auto it =
      std::find_if(sections.begin(), sections.end(), [&](const PeSection& s) { return s.name == name; });
  return it == sections.end() ? nullptr : &*it;
}

}  // namespace assay::boot
