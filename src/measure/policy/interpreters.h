// Which programs are interpreters, and which files each of them reads as code.
//
//   // given: int fd, std::string_view path, std::uint64_t size, const Digest& digest
//   Programs programs;                                          // recognises copies with other names too
//   const Interpreter program = programs.Of("/usr/bin/python3.11", size, &digest);
//   const bool code = ReadingOf({.fd = fd, .path = path, .opener = program}) == Reading::kCode;
//
// Contract: a program is recognised by the last part of its name, in any folder, or because it is a copy of a
// program that is installed with such a name. A file that can't be judged counts as code. Only the open
// file's own file system is accessed. The BPF programs keep the numbers of the enum, so that a number is
// never reused for another program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/mutex.h"

namespace assay::measure {

enum class Interpreter : std::uint32_t {
  kUnknown = 0,  // not determined yet
  kNone = 1,     // a program that is not an interpreter
  kShell = 2,
  kMake = 3,
  kMultiCall = 4,  // busybox: its arguments tell which program it is
  kLoader = 5,     // the dynamic loader: its arguments tell which program it runs
  kPython = 6,
  kPerl = 7,
  kRuby = 8,
  kNode = 9,
  kJava = 10,
  kPhp = 11,
  kLua = 12,
  kTcl = 13,
  kAwk = 14,
  kSed = 15,
  kLisp = 16,
  kEditor = 17,
  kDebugger = 18,
  kStatistics = 19,
  kErlang = 20,
  kDotNet = 21,
  kBuild = 22,
};

// By the last part of the program's name; kNone for others.
Interpreter InterpreterNamed(std::string_view path);
// Whether every file that it opens counts as code, except files that are known to be data.
bool TakesAnyFile(Interpreter program);

enum class Reading : std::uint8_t {
  kCode,
  kDataHere,  // in this open; another task may be told to interpret the file
  kData,      // for all interpreters of this kind
};

// A regular file that a task opens for reading.
struct Opened {
  int fd = -1;
  std::string_view path{};
  Interpreter opener = Interpreter::kUnknown;
  // The beginning of the opener's command line, each word ended by NUL; no value: it is unknown.
  std::optional<std::string_view> words{};
  bool words_cut = false;     // the command line has more words
  bool path_holds = false;    // the path names the same file for the attester and for the opener
  bool own_output = false;    // the opener also has the file open for writing
  dev_t measured_device = 0;  // a file system that was measured as a whole; 0: there is none
  const std::vector<std::string>* extensions = nullptr;  // extensions that the configuration adds
};
Reading ReadingOf(const Opened& file);

// The file that an interpreter's command line (Opened::words) tells it to run, as it stands there; empty:
// none, or the program is no interpreter. A process chooses its command line, so this is for people and
// decides nothing.
std::string ScriptOf(std::string_view program, std::string_view words);

// For the fanotify engine, which does not know the opener's command line and can't keep a judgement for one
// opener only. A file that begins with #! or has a configured extension is code for every opener. Other marks
// of code count for the interpreters that know them.
Reading ReadingOfMarks(const Opened& file);

// Recognises programs by name, or as copies of an installed interpreter. Thread-safe.
class Programs {
 public:
  // folders: the folders in which interpreters are installed.
  explicit Programs(std::vector<std::string> folders = {"/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin",
                                                        "/usr/lib64", "/usr/lib/x86_64-linux-gnu"});
  // digest: null: only the name is used.
  Interpreter Of(std::string_view path, std::uint64_t size, const Digest* digest);

 private:
  struct Installed {
    std::string path;
    Interpreter program;
    std::optional<Digest> digest{};  // once it was needed
  };
  void Refresh() ASSAY_REQUIRES(mutex_);

  Mutex mutex_;
  const std::vector<std::string> folders_;
  std::vector<std::int64_t> changed_ ASSAY_GUARDED_BY(mutex_);  // when each folder was, at the last look
  std::multimap<std::uint64_t, Installed> installed_ ASSAY_GUARDED_BY(mutex_);  // by size
};

}  // namespace assay::measure
