// Printable text: valid UTF-8 without controls, the same when it is made printable once more.
#include "base/bytes.h"
#include "base/fuzzing.h"
#include "base/text.h"

using namespace assay;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = AsText({data, size});
  const std::string printable = Printable(text);
  Require(Printable(printable) == printable);
  for (const char c : printable) Require(static_cast<unsigned char>(c) >= ' ' && c != 0x7F);
  const std::string ascii = PrintableAscii(text);
  Require(ascii.size() == size && IsPrintableAscii(ascii) && Printable(ascii) == ascii);
  return 0;
}
