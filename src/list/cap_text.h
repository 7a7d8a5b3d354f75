// The cap's record, for C and C++: docs/formats/own-records.md, "assay-cap".
//
//   // given: const Bytes& data
//   const bool is_cap = Equal(data, AsBytes(ASSAY_CAP_TEXT));
//   const std::uint8_t digest[] = {ASSAY_CAP_DIGEST};
//
// Contract: the digest is SHA-256 of the text; cap_test.cc compares them.
#ifndef ASSAY_LIST_CAP_TEXT_H
#define ASSAY_LIST_CAP_TEXT_H

#define ASSAY_CAP_NAME "assay-cap"
#define ASSAY_CAP_TEXT "{\"cap\":\"no attester was started in the initramfs\"}"
#define ASSAY_CAP_DIGEST                                                                                \
  0x18, 0x43, 0x14, 0x10, 0x19, 0x75, 0xf1, 0x38, 0xff, 0x95, 0xc5, 0xdd, 0x17, 0x00, 0x1a, 0x97, 0x3f, \
      0x33, 0xe7, 0xaf, 0x7b, 0x97, 0x92, 0x46, 0x3e, 0x81, 0xed, 0x00, 0x19, 0xdb, 0xaf, 0x6f

// The cap is extended into this PCR as well as into the list's. Nothing else extends PCR 14 after the
// firmware's part of a boot, and verifiers ask for it by default.
#define ASSAY_CAP_PCR 14

#endif
