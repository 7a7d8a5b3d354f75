// Parses any bytes as one of the structures that UEFI puts into event data; the first byte chooses it.
#include "base/fuzzing.h"
#include "base/text.h"
#include "boot/efi.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace assay;
  using namespace assay::boot;
  if (size == 0) return 0;
  const ByteView data(bytes + 1, size - 1);
  switch (bytes[0] % 8) {
    case 0:
      if (const auto v = ParseVariable(data))
        Require(v->value_offset + v->value.size() + v->trailing == data.size());
      break;
    case 1:
      if (const auto db = ParseSignatureDatabase(data)) {
        std::size_t held = 0;
        for (const Signature& s : db->signatures) held += s.data.size() + 16;
        Require(held <= data.size());
      }
      break;
    case 2:
      (void)ParseLoadOption(data);
      break;
    case 3: {
      const std::string text = DevicePathText(data);
      Require(Printable(text) == text);
      break;
    }
    case 4:
      (void)ParseGpt(data);
      break;
    case 5:
      (void)ParseImageLoad(data);
      (void)ParseFirmwareBlob2(data);
      (void)ParseHandoffTables2(data);
      break;
    case 6: {
      const std::string text = Printable(FromUtf16(data));
      Require(Printable(text) == text);
      break;
    }
    default:
      (void)ParseCertificate(data);
      break;
  }
  return 0;
}
