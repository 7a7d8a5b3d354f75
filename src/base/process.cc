#include "base/process.h"

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/fd.h"

namespace assay {
namespace {

constexpr std::size_t kMaxOutput = std::size_t{256} << 20;

struct Actions {
  posix_spawn_file_actions_t actions;
  Actions() { posix_spawn_file_actions_init(&actions); }
  ~Actions() { posix_spawn_file_actions_destroy(&actions); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
};

// Reads what is in the pipe; false at its end.
bool Drain(int fd, std::string& text) {
  std::array<char, 64 << 10> block;
  const ssize_t n = read(fd, block.data(), block.size());
  if (n < 0) return errno == EINTR;
  if (n == 0) return false;
  if (text.size() < kMaxOutput) text.append(block.data(), static_cast<std::size_t>(n));
  return true;
}

}  // namespace

Result<Output> RunProgram(const std::vector<std::string>& argv, const std::string& folder) {
  int out_pipe[2];
  int err_pipe[2];
  if (pipe2(out_pipe, O_CLOEXEC) != 0) return Fail(OsError("pipe2", "", errno));
  UniqueFd out(out_pipe[0]), out_end(out_pipe[1]);
  if (pipe2(err_pipe, O_CLOEXEC) != 0) return Fail(OsError("pipe2", "", errno));
  UniqueFd err(err_pipe[0]), err_end(err_pipe[1]);
  Actions a;
  posix_spawn_file_actions_addopen(&a.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&a.actions, out_end.get(), 1);
  posix_spawn_file_actions_adddup2(&a.actions, err_end.get(), 2);
  posix_spawn_file_actions_addchdir_np(&a.actions, folder.c_str());
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::vector<char*> environment;
  static char locale[] = "LC_ALL=C";
  for (char** e = environ; *e != nullptr; ++e)
    if (!std::string_view(*e).starts_with("LC_ALL=")) environment.push_back(*e);
  environment.push_back(locale);
  environment.push_back(nullptr);
  pid_t pid = 0;
  if (const int rc = posix_spawnp(&pid, words[0], &a.actions, nullptr, words.data(), environment.data());
      rc != 0)
    return Fail(OsError("posix_spawnp", argv[0], rc));
  out_end.Reset();
  err_end.Reset();
  Output result;
  std::array<pollfd, 2> wait{pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}};
  while (wait[0].fd >= 0 || wait[1].fd >= 0) {
    if (poll(wait.data(), wait.size(), -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (wait[0].revents != 0 && !Drain(out.get(), result.out)) wait[0].fd = -1;
    if (wait[1].revents != 0 && !Drain(err.get(), result.err)) wait[1].fd = -1;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace assay
