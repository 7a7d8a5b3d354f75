// PE/COFF images, as UEFI firmware loads and measures them: their sections, their signatures, and the digest
// that a signer signs and the firmware extends into PCR 4.
//
//   // given: ByteView file
//   ASSAY_ASSIGN(PeImage image, ParsePe(file));
//   const Digest digest = image.Authenticode(HashAlg::kSha256); // as EV_EFI_BOOT_SERVICES_APPLICATION has it
//   if (const PeSection* kernel = image.Find(".linux")) log::Info("{} bytes", kernel->content.size());
//
// Contract: docs/formats/uki.md. Strict: only images are accepted for which firmware and signers calculate
// the same digest. A header or section beyond the end of the file, sections that overlap or leave a gap, and
// a certificate table that is not at the end of the file are a ParseError "parse.pe" with the offset in the
// file. Integers are little-endian; views live as long as the input; no allocation depends on a length found
// in it. Signatures are extracted and not verified (authenticode.h does that). Source: Microsoft PE Format
// (2025), "Optional Header", "Section Table", "The Attribute Certificate Table", "Appendix A: Calculating
// Authenticode PE Image Hash"; UEFI 2.10, section 32.4.1; EDK2 SecurityPkg DxeTpm2MeasureBootLib.
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
  ByteView content;  // the first VirtualSize bytes of raw, which the loader maps
  // Whether the loader adds zeros after raw, so that the section in memory is longer than the content.
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
bool LooksLikePe(ByteView file);  // whether it begins with "MZ"

}  // namespace assay::boot
