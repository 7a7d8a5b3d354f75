// Internal: calculates the byte code that Python writes for a packaged source, without installing the
// package.
//
//   // given: const Python& python, const std::string& path, std::int64_t mtime, ByteView source
//   ByteCompiler compiler(python);   // one for each package
//   if (compiler.Takes(path)) {      // "/usr/lib/python3/dist-packages/six.py"
//     for (const PackagedFile& file : compiler.Compile(path, mtime, source)) log::Info("{}", file.path);
//   }
//
// Contract: the machine's own python compiles the source in a child process and does not execute it. A source
// may be an attacker's, and compile() has faults, so the child runs as nobody, can't open files or start
// processes, is limited in memory and time, and serves one package only. A package that takes over its child
// can only forge content that it could have shipped anyway. A source that is too large, is not valid Python
// or ends the child is left out and named in the report; it is never an error. Byte code is that of
// py_compile with time stamps (PEP 552), the same in each process since Python 3.11, except for
// "encodings", which an interpreter without its byte code compiles before it has interned any string. Besides
// the digest of the file there is the one of its code (measure/system/byte_code.h), which is the same for
// each time stamp and at each path.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reference/index.h"
#include "reference/package_file.h"

namespace assay::reference {

inline constexpr std::size_t kMaxSource = std::size_t{4} << 20;

struct Python {
  std::string program;
  std::string tag;          // "cpython-311", as in the file names of its byte code
  std::string version;      // "3.11"
  std::string unavailable;  // why there is no byte code; empty: it is available
  unsigned cpu_seconds = 120;
};
Python FindPython(const std::string& program);

class ByteCompiler {
 public:
  explicit ByteCompiler(const Python& python);
  ~ByteCompiler();
  static Result<std::string> TagOf(const Python& python);  // starts a child to ask it
  // Whether the path is a source for this Python. Counts the sources that are not.
  bool Takes(std::string_view path);
  // The byte code's path with each digest that it may have; empty: none. mtime: no value where the source
  // gets its time only when it is installed; the digests are then those of the code alone.
  std::vector<PackagedFile> Compile(const std::string& path, std::optional<std::int64_t> mtime,
                                    ByteView source);
  void LeaveOut(const std::string& path) { report_.failed.push_back(path); }
  const ByteCodeReport& report() const { return report_; }

 private:
  class Child;
  Result<std::vector<Bytes>> Ask(const std::string& path, std::int64_t mtime, ByteView source);

  const Python& python_;
  std::unique_ptr<Child> child_;
  std::size_t spent_ = 0;  // bytes of source that this child has compiled
  unsigned ended_ = 0;     // number of children that a source has ended
  ByteCodeReport report_;
};

}  // namespace assay::reference
