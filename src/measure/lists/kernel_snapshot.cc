#include "measure/lists/kernel_snapshot.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "base/folder.h"
#include "measure/lists/errors.h"
#include "measure/lists/kernel_list.h"

namespace assay::measure {
namespace {

constexpr std::chrono::milliseconds kRetry{10};

// The processes that have one of the files open for writing, as "814 (ima-exporter)"; "" if /proc shows none.
std::string WritersOf(const std::string& current) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path files[] = {fs::canonical(current, error), fs::canonical(StagedFile(current), error)};
  std::string out;
  const Result<std::vector<std::string>> processes = NamesIn("/proc");
  if (!processes) return "";
  for (const std::string& pid : *processes) {
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == std::to_string(getpid())) continue;
    const fs::path process = "/proc/" + pid;
    const Result<std::vector<std::string>> open = NamesIn(process / "fd");
    if (!open) continue;  // it has ended
    for (const std::string& fd : *open) {
      const fs::path target = fs::read_symlink(process / "fd" / fd, error);
      if (error || std::ranges::find(files, target) == std::end(files)) continue;
      const auto name = ReadFile(process / "comm", 64);
      std::string_view text = name ? AsText(*name) : std::string_view();
      if (text.ends_with('\n')) text.remove_suffix(1);
      out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", pid, text);
      break;
    }
  }
  return out;
}

}  // namespace

std::string StagedFile(const std::string& current) { return current + "_staged"; }
bool CanBeStaged(const std::string& current) { return access(StagedFile(current).c_str(), F_OK) == 0; }

Result<UniqueFd> OpenShared(const std::string& path) {
  const auto until = std::chrono::steady_clock::now() + kWriterPatience;
  while (true) {
    auto file = Open(path, O_RDONLY);
    const auto* os = file ? nullptr : file.error().As<OsError>();
    if (os == nullptr || os->err != EBUSY) return file;
    if (std::chrono::steady_clock::now() >= until) break;
    std::this_thread::sleep_for(kRetry);
  }
  const std::string writers = WritersOf(path);
  return Fail(StateError(KernelImaError::kInUse,
                         fmt::format("a program has the kernel's list open to stage or delete records{}{}",
                                     writers.empty() ? "" : ": process ", writers)));
}

Result<Bytes> ReadSnapshot(const std::string& current) {
  ASSAY_ASSIGN(const UniqueFd staged_file, OpenShared(StagedFile(current)));
  ASSAY_ASSIGN(const UniqueFd current_file, OpenShared(current));
  ASSAY_ASSIGN(Bytes list, ReadAll(staged_file.get(), kMaxKernelList));
  ASSAY_ASSIGN(const Bytes rest, ReadAll(current_file.get(), kMaxKernelList));
  list.insert(list.end(), rest.begin(), rest.end());
  return list;
}

// The prefix function of Knuth, Morris and Pratt over `found`, fed with the end of `known`.
std::vector<std::size_t> JoinsOf(std::span<const Digest> known, std::span<const Digest> found) {
  std::vector<std::size_t> border(found.size(), 0);
  const auto step = [&](std::size_t matched, const Digest& next) {
    while (matched > 0 && (matched == found.size() || found[matched] != next)) matched = border[matched - 1];
    return matched < found.size() && found[matched] == next ? matched + 1 : matched;
  };
  for (std::size_t i = 1; i < found.size(); ++i) border[i] = step(border[i - 1], found[i]);
  std::size_t matched = 0;
  for (const Digest& record : known) matched = found.empty() ? 0 : step(matched, record);
  std::vector<std::size_t> joins;
  for (; matched > 0; matched = border[matched - 1]) joins.push_back(known.size() - matched);
  joins.push_back(known.size());
  return joins;
}

}  // namespace assay::measure
