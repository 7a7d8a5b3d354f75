#include "boot/efi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/result_testing.h"
#include "boot/event_data.h"
#include "boot/log_builder.h"

namespace assay::boot {
namespace {

using testing::HasSubstr;

Bytes Unhex(std::string_view text) {
  auto bytes = FromHex(text);
  EXPECT_THAT(bytes, IsOk());
  return bytes ? *bytes : Bytes();
}

TEST(EfiText, Utf16) {
  EXPECT_EQ(FromUtf16(Utf16("abc")), "abc");
  EXPECT_EQ(FromUtf16(Unhex("e4003cd83adf0000")), "\xC3\xA4\xF0\x9F\x8C\xBA");  // a-umlaut, U+1F33A
  EXPECT_EQ(FromUtf16(Unhex("00d86100")),
            "\xEF\xBF\xBD"
            "a");  // a lone surrogate
  EXPECT_EQ(FromUtf16(Unhex("61")), "");
}

TEST(DevicePath, InWords) {
  EXPECT_EQ(DevicePathText(Unhex("02010c00d041030a000000000101060000037fff0400")),
            "PciRoot(0x0)/Pci(0x3,0x0)");
  EXPECT_EQ(DevicePathText(Unhex("0317100001000000002538b221d137507fff0400")), "NVMe(0x1,002538b221d13750)");
  EXPECT_EQ(DevicePathText(Unhex("0404080041004200"
                                 "7fff0400")),
            "AB");
  EXPECT_EQ(DevicePathText(Unhex("03180700612f62"
                                 "7fff0400")),
            "Uri(a/b)");
  EXPECT_EQ(DevicePathText(Unhex("0909060001027fff0400")), "Path(9,9,0102)");
  EXPECT_EQ(DevicePathText(Unhex("01010600000"
                                 "37f01040001010600000"
                                 "47fff0400")),
            "Pci(0x3,0x0),Pci(0x4,0x0)");
  EXPECT_EQ(DevicePathText({}), "");
  EXPECT_THAT(DevicePathText(Unhex("01010300")), HasSubstr("<truncated>"));
  EXPECT_THAT(DevicePathText(Unhex("0101ffff00")), HasSubstr("<truncated>"));
  EXPECT_THAT(DevicePathText(Unhex("010106000003")), HasSubstr("<no end>"));
  EXPECT_THAT(DevicePathText(Unhex("7fff040001")), HasSubstr("after the end"));
}

TEST(Variable, LengthsAreBounded) {
  const Bytes good = VariableData(kGlobalGuid, "SecureBoot", {1});
  const auto v = ParseVariable(good);
  ASSERT_THAT(v, IsOk());
  EXPECT_EQ(v->name, "SecureBoot");
  EXPECT_TRUE(std::get<bool>(v->meaning));
  for (std::size_t i = 0; i < good.size(); ++i)
    EXPECT_THAT(ParseVariable(ByteView(good).first(i)), FailsWith("parse.efi")) << i;
  for (const std::size_t at : {16U, 23U, 24U, 31U}) {
    Bytes bad = good;
    bad[at] = 0xFF;
    EXPECT_THAT(ParseVariable(bad), FailsWith("parse.efi")) << at;
  }
  Bytes hidden = good;
  hidden[32] = 0;  // "\0ecureBoot"
  EXPECT_THAT(ParseVariable(hidden), FailsWith("parse.efi"));
}

Bytes ListOf(std::uint32_t list_size, std::uint32_t header_size, std::uint32_t signature_size,
             const Bytes& body) {
  Writer w;
  PutGuid(w, kSha256TypeGuid);
  w.U32Le(list_size).U32Le(header_size).U32Le(signature_size).Put(body);
  return w.Take();
}

TEST(SignatureDatabase, ListsAreBounded) {
  const auto good = ParseSignatureDatabase(ListOf(28 + 96, 0, 48, Bytes(96, 5)));
  ASSERT_THAT(good, IsOk());
  ASSERT_EQ(good->signatures.size(), 2U);
  EXPECT_EQ(good->signatures[1].type_name, "sha256");
  EXPECT_EQ(good->signatures[1].data.size(), 32U);
  EXPECT_THAT(ParseSignatureDatabase(ListOf(27, 0, 48, {})), FailsWith("parse.efi"));
  EXPECT_THAT(ParseSignatureDatabase(ListOf(28 + 48, 49, 48, Bytes(48))), FailsWith("parse.efi"));
  EXPECT_THAT(ParseSignatureDatabase(ListOf(28 + 48, 0xFFFFFFFF, 48, Bytes(48))), FailsWith("parse.efi"));
  EXPECT_THAT(ParseSignatureDatabase(ListOf(28 + 48, 0, 0, Bytes(48))), FailsWith("parse.efi"));
  EXPECT_THAT(ParseSignatureDatabase(ListOf(28 + 48, 0, 16, Bytes(48))), FailsWith("parse.efi"));
  EXPECT_THAT(ParseSignatureDatabase(ListOf(28 + 48, 0, 47, Bytes(48))), FailsWith("parse.efi"));
  EXPECT_THAT(ParseSignatureDatabase(ListOf(0xFFFFFFFF, 0, 48, Bytes(48))), FailsWith("parse.efi"));
}

TEST(LoadOption, IsRead) {
  const Bytes path = Unhex("02010c00d041030a000000000101060000037fff0400");
  const Bytes data = Writer()
                         .U32Le(1)
                         .U16Le(static_cast<std::uint16_t>(path.size()))
                         .Put(Utf16("Debian"))
                         .Put(path)
                         .U8(7)
                         .Take();
  const auto option = ParseLoadOption(data);
  ASSERT_THAT(option, IsOk());
  EXPECT_EQ(option->description, "Debian");
  EXPECT_EQ(option->optional_data.size(), 1U);
  for (std::size_t i = 0; i + 1 < data.size(); ++i)
    EXPECT_THAT(ParseLoadOption(ByteView(data).first(i)), FailsWith("parse.efi")) << i;
}

TEST(Gpt, CountAndEntrySizeAreBounded) {
  const auto gpt = [](std::uint32_t entry_size, std::uint64_t count, std::size_t body) {
    return ParseGpt(Writer()
                        .Put("EFI PART")
                        .Put(Bytes(76))
                        .U32Le(entry_size)
                        .U32Le(0)
                        .U64Le(count)
                        .Put(Bytes(body))
                        .Take());
  };
  EXPECT_TRUE(gpt(128, 2, 256));
  EXPECT_FALSE(gpt(128, 3, 256));
  EXPECT_TRUE(gpt(128, 1, 256));  // bytes after the partitions are padding
  EXPECT_FALSE(gpt(127, 1, 127));
  EXPECT_FALSE(gpt(128, 0x200000000000000, 256));
}

template <typename T>
T DecodedAs(std::uint32_t type, const Bytes& data) {
  LogBuilder b({HashAlg::kSha256});
  b.Add(0, type, data);
  static EventLog log;
  static Bytes bytes;
  bytes = b.bytes();
  log = *ParseEventLog(bytes);
  const Decoded d = DecodeEvent(log, log.events[1]);
  EXPECT_TRUE(std::holds_alternative<T>(d.body)) << d.fault;
  return std::holds_alternative<T>(d.body) ? std::get<T>(d.body) : T();
}

TEST(EventData, NoActionEvents) {
  EXPECT_EQ(DecodedAs<StartupLocality>(kNoAction, StartupLocalityData(3)).locality, 3);
  Writer w;
  w.Put("SP800-155 Event3").U32Le(11129).Put(Bytes(16, 1));
  for (const char* text : {"Maker", "Model", "1", "Firm"})
    w.U8(static_cast<std::uint8_t>(std::strlen(text) + 1)).Put(text).U8(0);
  w.U32Le(11129).U8(3).Put("v2").U8(0).U32Le(1).U32Le(4).Put("http").U32Le(0).U32Le(0);
  const auto m = DecodedAs<ReferenceManifest>(kNoAction, w.bytes());
  EXPECT_EQ(m.platform_manufacturer, "Maker");
  EXPECT_EQ(m.firmware_version, "v2");
  EXPECT_EQ(AsText(m.rim_locator), "http");
  const auto c = DecodedAs<HcrtmComponent>(
      kNoAction, Writer().Put("H-CRTM CompMeas").U8(0).U8(2).Put("ab").U8(1).U16Le(3).Put("xyz").Take());
  EXPECT_EQ(c.description, "ab");
  EXPECT_EQ(c.measurement.size(), 3U);
  EXPECT_EQ(DecodedAs<Text>(kNoAction, BytesOf("PreOsDmesg")).text, "PreOsDmesg");
}

TEST(EventData, TextsAndBlobs) {
  EXPECT_EQ(DecodedAs<Text>(kPostCode, BytesOf("ACPI DATA")).text, "ACPI DATA");
  EXPECT_EQ(DecodedAs<FirmwareBlob>(kPostCode, Writer().U64Le(0xFF000000).U64Le(0x1000).Take()).length,
            0x1000U);
  EXPECT_EQ(DecodedAs<Text>(kIpl, BytesOf(std::string_view("grub_cmd: ls\0", 13))).prefix, "grub_cmd: ");
  EXPECT_TRUE(DecodedAs<Text>(kIpl, Utf16(".linux")).utf16);
  const Bytes tagged = Writer().U32Le(kTagInitrd).U32Le(13).Put("Linux initrd").U8(0).Take();
  EXPECT_EQ(DecodedAs<TaggedEvent>(kEventTag, tagged).name, "initrd");
  EXPECT_EQ(
      DecodedAs<HandoffTables>(kEfiHandoffTables, Writer().U64Le(1).Put(Bytes(24)).Take()).tables.size(), 1U);
}

}  // namespace
}  // namespace assay::boot
