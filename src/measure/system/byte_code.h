// Python's byte code without what differs between machines that compiled the same source: the time stamp of
// the source, the path at which it lies, and which short texts Python had interned (marshal.h). So the byte
// code of a packaged source is known wherever it was written, as in a virtual environment.
//
//   // given: int fd, const std::string& path, const Digest& digest
//   if (const std::optional<Digest> code = CodeDigestOfFd(fd, path, digest))
//     log::Info("{} is byte code {}", path, code->ToString());
//
// Contract: docs/formats/own-records.md, "assay-byte-code". The digest is of a text that begins with words of
// its own, so no .pyc file has it as its content's. Of two files with one digest that Python takes, both do
// the same. Any bytes may be given, and the time is linear.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

namespace assay::measure {

inline constexpr std::size_t kMaxByteCode = std::size_t{4} << 20;  // bytes of a file that are looked at
inline constexpr std::string_view kByteCodeRecord = "assay-byte-code";

// path: at which the byte code lies, "/DIR/__pycache__/m.cpython-311.pyc". nullopt: it is not byte code with
// a time stamp (PEP 552), or Python writes none to such a path.
std::optional<Digest> CodeDigest(ByteView content, std::string_view path);
// digest: SHA-256 of the file. nullopt also where the file can't be read or has another digest by now. Only a
// path that ends with .pyc is looked at.
std::optional<Digest> CodeDigestOfFd(int fd, std::string_view path, const Digest& digest);

// The record directly after an entry for byte code.
struct ByteCodeRecord {
  std::string path;  // of the entry, with '_' for a blank as there
  Digest digest;     // of the entry
  Digest code;
  bool operator==(const ByteCodeRecord&) const = default;
};
std::string EncodeByteCode(const ByteCodeRecord& record);
Result<ByteCodeRecord> ParseByteCode(std::string_view json);

}  // namespace assay::measure
