#include "base/folder.h"

#include <dirent.h>

#include <cerrno>
#include <memory>

namespace assay {

Result<std::vector<std::string>> NamesIn(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  if (dir == nullptr) return Fail(OsError("opendir", folder, errno));
  std::vector<std::string> names;
  while (true) {
    errno = 0;  // readdir() says nothing else of its end and of an error
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return Fail(OsError("readdir", folder, errno));
  return names;
}

}  // namespace assay
