// Opens and closes every file of a folder, or maps each executable besides, or runs a program again and
// again, and prints the nanoseconds for one.
//   opener open ROUNDS FOLDER        opener mmap ROUNDS FOLDER        opener exec ROUNDS PROGRAM
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern char** environ;

namespace {

std::vector<std::string> FilesIn(const char* folder) {
  std::vector<std::string> files;
  DIR* dir = opendir(folder);
  while (dir != nullptr) {
    const dirent* entry = readdir(dir);
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') files.push_back(std::string(folder) + "/" + entry->d_name);
  }
  if (dir != nullptr) closedir(dir);
  return files;
}

bool OpenAll(const std::vector<std::string>& files, bool map) {
  constexpr std::size_t kPage = 4096;
  for (const std::string& file : files) {
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    if (map) {
      void* code = mmap(nullptr, kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
      if (code == MAP_FAILED) return false;
      munmap(code, kPage);
    }
    close(fd);
  }
  return true;
}

bool RunOnce(char* program) {
  char* const argv[] = {program, nullptr};
  pid_t pid = 0;
  if (posix_spawn(&pid, program, nullptr, nullptr, argv, environ) != 0) return false;
  int status = 0;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  const bool maps = std::strcmp(argv[1], "mmap") == 0;
  const bool opens = maps || std::strcmp(argv[1], "open") == 0;
  const int rounds = std::atoi(argv[2]);
  const std::vector<std::string> files = opens ? FilesIn(argv[3]) : std::vector<std::string>{argv[3]};
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i)
    if (opens ? !OpenAll(files, maps) : !RunOnce(argv[3])) {
      std::perror(argv[3]);
      return 1;
    }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  std::printf("%.1f\n", took.count() / rounds / static_cast<double>(files.size()));
  return 0;
}
