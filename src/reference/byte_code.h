// Internal: the byte code that Python writes for a packaged source, calculated without installing
// it.
//
//   ByteCompiler compiler(python);  // one for each package
//   if (compiler.Takes("/usr/lib/python3/dist-packages/six.py")) ... = compiler.Compile(path, mtime, source);
//
// Contract: the machine's own python compiles in a child process and executes nothing of the source. A source
// is anybody's, and compile() has faults: the child is nobody, opens nothing, starts nothing, is limited in
// memory and time, and serves one package, so that whoever takes it over forges what the package could have
// shipped anyway. A source that is too large, is no Python or ends the child is left out and named in the
// report, never an error. Byte code is that of py_compile with time stamps (PEP 552), the same in each
// process since Python 3.11.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "reference/index.h"
#include "reference/package_file.h"

namespace assay::reference {

inline constexpr std::size_t kMaxSource = std::size_t{4} << 20;

struct Python {
  std::string program;
  std::string tag;          // "cpython-311": what is in the names of its byte code
  std::string version;      // "3.11"
  std::string unavailable;  // why there is no byte code; empty: there is
  unsigned cpu_seconds = 120;
};
Python FindPython(const std::string& program);

class ByteCompiler {
 public:
  explicit ByteCompiler(const Python& python);
  ~ByteCompiler();
  static Result<std::string> TagOf(const Python& python);  // by a child that is started for it
  bool Takes(std::string_view path);                       // counts the sources that it does not take
  std::optional<PackagedFile> Compile(const std::string& path, std::int64_t mtime, ByteView source);
  void LeaveOut(const std::string& path) { report_.failed.push_back(path); }
  const ByteCodeReport& report() const { return report_; }

 private:
  class Child;
  Result<std::optional<Digest>> Ask(const std::string& path, std::int64_t mtime, ByteView source);

  const Python& python_;
  std::unique_ptr<Child> child_;
  std::size_t spent_ = 0;  // bytes that this child was given
  unsigned ended_ = 0;     // children that a source has ended
  ByteCodeReport report_;
};

}  // namespace assay::reference
