#include "measure/system/task_names.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/fd.h"

namespace assay::measure {
namespace {

constexpr int kMaxParents = 4;
constexpr std::size_t kMaxStat = 4096;

std::optional<TaskStat> StatOfTask(pid_t tid) {
  const Result<Bytes> text = ReadFile("/proc/" + std::to_string(tid) + "/stat", kMaxStat);
  return text ? ParseTaskStat(AsText(*text)) : std::nullopt;
}

}  // namespace

std::string ProgramOfTask(pid_t tid) {
  std::array<char, PATH_MAX> name;
  const ssize_t n = readlink(("/proc/" + std::to_string(tid) + "/exe").c_str(), name.data(), name.size());
  return n > 0 ? std::string(name.data(), static_cast<std::size_t>(n)) : "";
}

std::optional<TaskStat> ParseTaskStat(std::string_view text) {
  const std::size_t begin = text.find('('), end = text.rfind(')');  // a name may have both in it
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return std::nullopt;
  TaskStat task{.comm = std::string(text.substr(begin + 1, end - begin - 1))};
  constexpr std::size_t kState = 4;  // ") S "
  const std::string_view number = text.substr(std::min(text.size(), end + kState));
  const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), task.parent);
  if (error != std::errc() || rest == number.data() + number.size() || *rest != ' ' || task.parent < 0)
    return std::nullopt;
  return task;
}

void NameTask(pid_t tid, Context& context) {
  context.program = ProgramOfTask(tid);
  context.under.clear();
  std::optional<TaskStat> task = StatOfTask(tid);
  for (int i = 0; i < kMaxParents && task && task->parent > 1; ++i) {
    task = StatOfTask(task->parent);
    if (!task) return;
    std::replace(task->comm.begin(), task->comm.end(), ',', '_');
    context.under += (context.under.empty() ? "" : ", ") + task->comm;
  }
}

}  // namespace assay::measure
