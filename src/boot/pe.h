// PE/COFF images, as UEFI firmware loads and measures them: their sections, their signatures, and the digest
// that a signer signs and the firmware extends into PCR 4.
//
//   ASSAY_ASSIGN(PeImage image, ParsePe(file));
//   Use(image.Authenticode(HashAlg::kSha256));           // what EV_EFI_BOOT_SERVICES_APPLICATION measures
//   if (const PeSection* s = image.Find(".linux")) Use(s->content);
//
// Contract: docs/formats/uki.md. Strict: only images on whose digest firmware and signers agree. A header or
// section that runs out of the file, sections that overlap or leave a gap, bytes of the certificate table
// that are not at the end: each is a ParseError "parse.pe" with the offset in the file. Integers are
// little-endian; views live as long as the input; nothing allocates by a length found in it. Signatures are
// cut out, not judged (authenticode.h). Source: Microsoft PE Format (2025), "Optional Header", "Section
// Table", "The Attribute Certificate Table", "Appendix A: Calculating Authenticode PE Image Hash"; UEFI 2.10,
// section 32.4.1; EDK2 SecurityPkg DxeTpm2MeasureBootLib.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace assay::boot {

inline constexpr std::size_t kMaxPe = std::size_t{1} << 30;  // bytes; larger ones are refused
inline constexpr std::size_t kMaxPeSections = 96;
inline constexpr std::size_t kMaxPeSignatures = 16;

struct PeSection {
  std::string name;  // at most 8 bytes, up to the first NUL
  std::uint32_t virtual_size = 0, virtual_address = 0;
  ByteView raw;      // as it lies in the file: SizeOfRawData
  ByteView content;  // what of it is the section's in memory: the first VirtualSize bytes of raw
  // Memory beyond raw that the loader fills with zeros: the content is then not all there is.
  bool zero_filled() const { return virtual_size > raw.size(); }
};

struct PeImage {
  ByteView file;
  std::uint16_t machine = 0;         // 0x8664 x86-64, 0xAA64 AArch64
  std::vector<PeSection> sections;   // in the table's order
  std::vector<ByteView> signatures;  // WIN_CERT_TYPE_PKCS_SIGNED_DATA: DER, with the padding that follows it
  std::size_t checksum_at = 0;       // offset of CheckSum (4 bytes)
  std::optional<std::size_t> certificate_entry_at;  // offset of the data directory's entry (8 bytes)
  std::size_t certificates_at = 0;  // offset of the certificate table; the file's size if none

  // Over the file without CheckSum, the certificate table and its entry. CanHash(alg) must hold.
  Digest Authenticode(HashAlg alg) const;
  const PeSection* Find(std::string_view name) const;  // the first of this name; null: none
};

Result<PeImage> ParsePe(ByteView file);
bool LooksLikePe(ByteView file);  // "MZ": nothing more is looked at

}  // namespace assay::boot
