#include "measure/policy/interpreters.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fd.h"
#include "base/folder.h"
#include "measure/policy/interpreters_table.h"
#include "measure/policy/policy.h"
#include "measure/policy/word_list.h"
#include "measure/system/file.h"

namespace assay::measure {
namespace {

using table::Row;

bool Has(std::string_view list, std::string_view word) {
  return AnyOf(list, [&](std::string_view w) { return w == word; });
}

const Row* RowOf(Interpreter program) {
  for (const Row& row : table::kRows)
    if (row.id == program) return &row;
  return nullptr;
}

// The marks of code at the beginning of a file.
struct Start {
  bool script = false;  // #!
  unsigned magics = table::kNoMagic;
};

Start StartOf(int fd) {
  std::array<char, 8> bytes{};
  const ssize_t n = pread(fd, bytes.data(), bytes.size(), 0);
  const std::string_view text(bytes.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  Start start{.script = text.starts_with("#!")};
  const auto mark = [&](bool is, table::Magic magic) { start.magics |= is ? magic : table::kNoMagic; };
  mark(text.size() >= 4 && text[2] == '\r' && text[3] == '\n', table::kPyc);
  mark(text.starts_with("PK\3\4") || text.starts_with("PK\5\6"), table::kZip);
  mark(text.starts_with("\xCA\xFE\xBA\xBE"), table::kClass);
  mark(text.starts_with("\xDA\xDA\xFE\xCA") || text.starts_with("\xCA\xFE\xDA\xDA"), table::kJimage);
  mark(text.starts_with("\x1BLua") || text.starts_with("\x1BLJ"), table::kLuaCode);
  mark(text.starts_with("YARB"), table::kRubyCode);
  mark(text.starts_with(std::string_view("\0asm", 4)), table::kWasm);
  mark(text.starts_with(";ELC"), table::kElc);
  mark(text.starts_with("FOR1"), table::kBeam);
  mark(text.starts_with("MZ"), table::kPe);
  return start;
}

bool KnowsMarks(const Row& row, std::string_view path, unsigned magics) {
  const std::string_view name = LastPart(path);
  return (row.magics & magics) != 0 || HasGlobFor(row.files, name) ||
         AnyOf(row.extensions, [&](std::string_view e) { return name.ends_with(e); });
}

bool AnyKnowsMarks(std::string_view path, unsigned magics) {
  return std::any_of(std::begin(table::kRows), std::end(table::kRows),
                     [&](const Row& row) { return KnowsMarks(row, path, magics); });
}

// Whether this very file lies at the path for the attester, too: a service with mounts of its own
// (PrivateTmp=) has most of its files from the machine. The look stays on the root file system, because the
// server of another one may not answer.
bool LiesAt(std::string_view path, const struct stat& st) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  const std::string name(path);
  const UniqueFd found(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, name.c_str(), &how, sizeof(how))));
  struct stat there{};
  return found && fstat(found.get(), &there) == 0 && there.st_dev == st.st_dev && there.st_ino == st.st_ino;
}

// Whether the file is known data at a path that only root can change.
bool IsWellKnownData(const Opened& file, const struct stat& st) {
  if (file.measured_device != 0 && st.st_dev == file.measured_device) return true;
  if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) return false;
  return std::any_of(std::begin(table::kData), std::end(table::kData),
                     [&](std::string_view glob) { return GlobMatches(glob, file.path); }) &&
         (file.path_holds || LiesAt(file.path, st));
}

bool HasOwnersMark(const Opened& file, const Start& start) {
  return start.script || (file.extensions != nullptr &&
                          std::any_of(file.extensions->begin(), file.extensions->end(),
                                      [&](const std::string& e) { return file.path.ends_with(e); }));
}

// The words of a command line that may be incomplete.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}
  // The next word, or no value at the end. A word without its NUL is incomplete and is not returned.
  std::optional<std::string_view> Next() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return word;
  }

 private:
  std::string_view rest_;
};

enum class Named { kNo, kYes, kCannotTell };

// Whether the words tell the program to run the file that is meant: is_file(word) says whether a word is its
// name.
template <typename IsFile>
Named NamesFile(const Row& row, Words words, bool cut, const IsFile& is_file) {
  const Named at_end = cut ? Named::kCannotTell : Named::kNo;
  while (true) {
    const std::optional<std::string_view> next = words.Next();
    if (!next) return at_end;
    std::string_view word = *next;
    const bool option = word.size() > 1 && word[0] == '-' && word != "--";
    if (!option) {
      if (!row.operand) return Named::kNo;  // the rest is data
      if (word == "--") {
        const auto operand = words.Next();
        return operand ? (is_file(*operand) ? Named::kYes : Named::kNo) : at_end;
      }
      return is_file(word) ? Named::kYes : Named::kNo;
    }
    const auto value = [&]() -> std::optional<Named> {  // of a script's option
      const auto file = words.Next();
      if (!file) return at_end;
      return is_file(*file) ? std::optional(Named::kYes) : std::nullopt;
    };
    const std::size_t equals = word.find('=');
    const std::string_view whole = word.substr(0, equals);
    if (Has(row.script_words, whole)) {
      if (equals != std::string_view::npos) {
        if (is_file(word.substr(equals + 1))) return Named::kYes;
      } else if (const auto named = value()) {
        return *named;
      }
      continue;
    }
    if (Has(row.inline_words, whole)) return Named::kNo;
    if (Has(row.value_words, word)) {
      if (!words.Next()) return at_end;
      continue;
    }
    if (word.starts_with("--")) continue;
    for (std::size_t i = 1; i < word.size(); ++i) {
      const bool last = i + 1 == word.size();
      if (row.inline_letters.find(word[i]) != std::string_view::npos) return Named::kNo;
      if (row.script_letters.find(word[i]) != std::string_view::npos) {
        if (!last) {
          if (is_file(word.substr(i + 1))) return Named::kYes;
        } else if (const auto named = value()) {
          return *named;
        }
        break;
      }
      if (row.value_letters.find(word[i]) != std::string_view::npos) {
        if (last && !words.Next()) return at_end;
        break;
      }
    }
  }
}

// The program that a multi-call program or a loader runs; consumes the words that name it.
Interpreter Resolve(Interpreter program, Words& words) {
  constexpr std::string_view kLoaderValues =
      "--library-path --preload --audit --argv0 --inhibit-rpath --glibc-hwcaps-prepend --glibc-hwcaps-mask";
  while (true) {
    const auto word = words.Next();
    if (!word) return Interpreter::kShell;
    if (program == Interpreter::kLoader && word->starts_with('-')) {
      if (Has(kLoaderValues, *word)) words.Next();
      continue;
    }
    std::string_view name = LastPart(*word);
    if (name.starts_with('-')) name.remove_prefix(1);  // the mark of a login shell
    const Interpreter named = InterpreterNamed(name);
    if (named != program) return named;
  }
}

// Whether the program reads commands from its input: its words name neither a file nor commands.
bool IsInteractive(const Opened& file) {
  if (!file.words || file.words_cut) return false;
  Words words(*file.words);
  words.Next();
  while (const auto word = words.Next())
    if (!word->starts_with('-') || (!word->starts_with("--") && word->find('c') != std::string_view::npos))
      return false;
  return true;
}

}  // namespace

Interpreter InterpreterNamed(std::string_view path) {
  const std::string_view name = ProgramName(path);
  for (const Row& row : table::kRows)
    if (HasGlobFor(row.names, name)) return row.id;
  return Interpreter::kNone;
}

bool TakesAnyFile(Interpreter program) {
  const Row* row = RowOf(program);
  return row != nullptr && row->any;
}

Reading ReadingOf(const Opened& file) {
  if (file.opener == Interpreter::kNone) return Reading::kDataHere;
  struct stat st{};
  if (fstat(file.fd, &st) != 0) return Reading::kCode;
  if (IsWellKnownData(file, st)) return Reading::kData;
  Interpreter program = file.opener;
  Words words(file.words.value_or(""));
  if (program == Interpreter::kMultiCall || program == Interpreter::kLoader) {
    program = Resolve(program, words);
    if (program == Interpreter::kNone) return Reading::kDataHere;
  } else {
    words.Next();
  }
  const Start start = StartOf(file.fd);
  const Row* row = RowOf(program);
  if (row == nullptr) return Reading::kCode;  // the opening program is unknown
  if (row->scripts && HasOwnersMark(file, start)) return Reading::kCode;
  if (KnowsMarks(*row, file.path, start.magics)) return Reading::kCode;
  const std::string_view name = LastPart(file.path);
  if (row->any) {
    if (Has(table::kHistory, name) && IsInteractive(file)) return Reading::kDataHere;
    // A here-document is a file that bash writes and then reads.
    return file.own_output && name.starts_with("sh-thd") ? Reading::kDataHere : Reading::kCode;
  }
  if (!file.words) return Reading::kCode;
  const auto is_file = [&](std::string_view word) { return LastPart(word) == name; };
  return NamesFile(*row, words, file.words_cut, is_file) == Named::kNo ? Reading::kDataHere : Reading::kCode;
}

std::string ScriptOf(std::string_view program, std::string_view words) {
  Interpreter kind = InterpreterNamed(program);
  Words rest(words);
  if (kind == Interpreter::kMultiCall || kind == Interpreter::kLoader)
    kind = Resolve(kind, rest);
  else
    rest.Next();
  // A shell reads any file, so its row does not say how its command line is read.
  static constexpr Row kShell{.id = Interpreter::kShell,
                              .names = "",
                              .extensions = "",
                              .files = "",
                              .operand = true,
                              .value_letters = "oO",
                              .inline_letters = "cs"};
  const Row* row = kind == Interpreter::kShell ? &kShell : RowOf(kind);
  std::string script;
  if (row != nullptr && kind != Interpreter::kBuild)  // a build tool is told folders and targets
    NamesFile(*row, rest, true, [&](std::string_view word) {
      script = word;
      return true;
    });
  return script;
}

Reading ReadingOfMarks(const Opened& file) {
  const Start start = StartOf(file.fd);
  if (HasOwnersMark(file, start)) return Reading::kCode;
  const bool marks = AnyKnowsMarks(file.path, start.magics);
  const Row* row = RowOf(file.opener);
  if (file.opener == Interpreter::kUnknown && marks) return Reading::kCode;
  if (row != nullptr && KnowsMarks(*row, file.path, start.magics)) return Reading::kCode;
  if (row != nullptr && row->any) {
    struct stat st{};
    if (fstat(file.fd, &st) != 0) return Reading::kCode;
    const bool here = Has(table::kHistory, LastPart(file.path)) || LastPart(file.path).starts_with("sh-thd");
    if (!here && !IsWellKnownData(file, st)) return Reading::kCode;
  }
  return marks ? Reading::kDataHere : Reading::kData;
}

Programs::Programs(std::vector<std::string> folders)
    : folders_(std::move(folders)), changed_(folders_.size(), -1) {}

// Reads the installed interpreters again if a folder has changed. A folder that has just changed is read
// again next time, because the clocks of file systems are coarse and could hide another change.
void Programs::Refresh() {
  constexpr std::int64_t kSecond = 1'000'000'000;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  bool same = true;
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    struct stat st{};
    std::int64_t changed = 0;
    if (stat(folders_[i].c_str(), &st) == 0) changed = st.st_mtim.tv_sec * kSecond + st.st_mtim.tv_nsec;
    same = same && changed == changed_[i];
    changed_[i] = now.tv_sec * kSecond + now.tv_nsec - changed > kSecond ? changed : -1;
  }
  if (same) return;
  installed_.clear();
  for (const std::string& folder : folders_) {
    const Result<std::vector<std::string>> names = NamesIn(folder);
    if (!names) continue;  // not every machine has each of them
    for (const std::string& name : *names) {
      const Interpreter program = InterpreterNamed(name);
      const std::string path = folder + "/" + name;
      struct stat st{};
      if (program == Interpreter::kNone || stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
      installed_.emplace(static_cast<std::uint64_t>(st.st_size), Installed{path, program});
    }
  }
}

Interpreter Programs::Of(std::string_view path, std::uint64_t size, const Digest* digest) {
  const Interpreter named = InterpreterNamed(path);
  if (named != Interpreter::kNone || digest == nullptr) return named;
  const MutexLock lock(mutex_);
  Refresh();
  const auto [first, last] = installed_.equal_range(size);
  for (auto it = first; it != last; ++it) {
    Installed& one = it->second;
    if (!one.digest) {
      std::uint64_t bytes = 0;
      const Result<UniqueFd> fd = Open(one.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
      if (!fd) continue;
      const Result<Digest> found = HashFd(fd->get(), digest->alg(), &bytes);
      if (!found) continue;
      one.digest = *found;
    }
    if (*one.digest == *digest) return one.program;
  }
  return Interpreter::kNone;
}

}  // namespace assay::measure
