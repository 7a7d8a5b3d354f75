#include "measure/policy/instrumented.h"

#include <fcntl.h>

#include <filesystem>
#include <system_error>

#include "base/fd.h"
#include "base/hash_fd.h"

namespace assay::measure {
namespace {

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

}  // namespace

Instrumented::Instrumented(const std::map<std::string, std::string>& hooks) {
  for (const auto& [path, hook] : hooks) {
    hooks_.push_back(hook);
    programs_.push_back({.path = path});
  }
}

void Instrumented::Refresh(Program& program) {
  struct stat now{};
  if (stat(program.path.c_str(), &now) != 0) now = {};
  if (SameFile(now, program.seen)) return;
  program.seen = now;
  program.digest.reset();
  std::error_code failed;
  const std::filesystem::path real = std::filesystem::canonical(program.path, failed);
  program.real = failed ? std::string() : real.string();
}

std::optional<std::size_t> Instrumented::Of(std::string_view path, std::uint64_t size, const Digest* digest) {
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    Program& program = programs_[i];
    Refresh(program);
    if (path == program.path || path == program.real) return i;
    if (digest == nullptr || program.seen.st_ino == 0 ||
        size != static_cast<std::uint64_t>(program.seen.st_size))
      continue;
    if (!program.digest) {
      const Result<UniqueFd> file = Open(program.path, O_RDONLY);
      if (!file) continue;
      const Result<Digest> of = HashFd(file->get(), digest->alg());
      if (!of) continue;
      program.digest = *of;
    }
    if (*program.digest == *digest) return i;
  }
  return std::nullopt;
}

}  // namespace assay::measure
