// Which programs are interpreters, and what each of them takes for code: the one table of it.
//
//   Programs programs;                                          // knows copies under other names too
//   const Interpreter program = programs.Of("/usr/bin/python3.11", size, &digest);
//   Opened file{.fd = fd, .path = path};
//   file.opener = program;
//   if (ReadingOf(file) == Reading::kCode) ...
//
// Contract: a program is known by the last part of its name, wherever it lies, or by being a copy of one that
// is installed under such a name. What can't be told counts as code. Asks no file system but that of the open
// file. The numbers are part of what the kernel's side keeps: they are never used again for another program.
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
  kUnknown = 0,  // nobody has looked yet
  kNone = 1,     // a program that is no interpreter
  kShell = 2,
  kMake = 3,
  kMultiCall = 4,  // busybox: its arguments say what it is
  kLoader = 5,     // the dynamic loader: its arguments say what it runs
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
// Whatever it opens is code, but for what is well known to be data.
bool TakesAnyFile(Interpreter program);

enum class Reading : std::uint8_t {
  kCode,
  kDataHere,  // this time: another task may be told to interpret it
  kData,      // to all interpreters of this sort
};

// A regular file that a task opens for reading.
struct Opened {
  int fd = -1;
  std::string_view path{};
  Interpreter opener = Interpreter::kUnknown;
  // The opener's first words, each ended by NUL; no value: they can't be told.
  std::optional<std::string_view> words{};
  bool words_cut = false;     // there are more than these
  bool path_holds = false;    // the path means the same to us as to the opener
  bool own_output = false;    // the opener has it open for writing itself
  dev_t measured_device = 0;  // of a file system that was measured as a whole; 0: none
  const std::vector<std::string>* extensions = nullptr;  // that the owner added
};
Reading ReadingOf(const Opened& file);

// Where neither the opener's words can be told nor a judgement for one opener be kept from others (the
// fanotify engine): what begins with #! or has one of the owner's extensions is code whoever opens it, other
// marks count for the interpreters that know them.
Reading ReadingOfMarks(const Opened& file);

// What programs are, by name or as a copy of an installed interpreter. Thread-safe.
class Programs {
 public:
  // folders: where interpreters are installed.
  explicit Programs(std::vector<std::string> folders = {"/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin",
                                                        "/usr/lib64", "/usr/lib/x86_64-linux-gnu"});
  // digest: null: only its name is looked at.
  Interpreter Of(std::string_view path, std::uint64_t size, const Digest* digest);

 private:
  struct Installed {
    std::string path;
    Interpreter program;
    std::optional<Digest> digest{};  // once it was asked for
  };
  void Refresh() ASSAY_REQUIRES(mutex_);

  Mutex mutex_;
  const std::vector<std::string> folders_;
  std::vector<std::int64_t> changed_ ASSAY_GUARDED_BY(mutex_);  // when each folder was, at the last look
  std::multimap<std::uint64_t, Installed> installed_ ASSAY_GUARDED_BY(mutex_);  // by size
};

// What a task runs, by /proc/TID/exe; kUnknown: it is gone.
Interpreter InterpreterOfTask(pid_t tid);

}  // namespace assay::measure
