// Byte code without the marks of interned texts has as many bytes as before, and no further mark is found in
// it. Byte code that differs in its time stamp only has the same digest; with another flag it has none.
#include "base/fuzzing.h"
#include "measure/system/byte_code.h"
#include "measure/system/marshal.h"

using namespace assay;
using namespace assay::measure;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = "/m/__pycache__/a.cpython-311.pyc";
  Bytes content(data, data + size);
  const std::optional<Digest> code = CodeDigest(content, path);
  Require(!code || size >= 16);
  Require(!CodeDigest(content, "/m/a.cpython-311.pyc"));
  if (code) {
    content[9] ^= 1;
    Require(CodeDigest(content, path) == code);
    content[4] = 1;
    Require(!CodeDigest(content, path));
  }
  const Bytes once = WithoutInternedMarks({data, size});
  Require(once.size() == size && WithoutInternedMarks(once) == once);
  const Result<ByteCodeRecord> read = ParseByteCode(AsText({data, size}));
  if (!read) return 0;
  const Result<ByteCodeRecord> again = ParseByteCode(EncodeByteCode(*read));
  Require(again && again->digest == read->digest && again->code == read->code);
  Require(again->path.size() == read->path.size());
  return 0;
}
