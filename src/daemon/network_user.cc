#include "daemon/network_user.h"

#include <fmt/core.h>
#include <pwd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

#include "daemon/errors.h"

namespace assay::daemon {
namespace {

constexpr std::string_view kName = "_assay-net";

struct Close {
  void operator()(FILE* file) const { fclose(file); }
};

}  // namespace

Result<NetworkUser> FindNetworkUser(const std::string& passwd) {
  const std::unique_ptr<FILE, Close> file(fopen(passwd.c_str(), "re"));
  if (file == nullptr) return Fail(OsError("open", passwd, errno));
  std::array<char, 4096> text;
  while (true) {
    struct passwd entry{};
    struct passwd* found = nullptr;
    const int error = fgetpwent_r(file.get(), &entry, text.data(), text.size(), &found);
    if (error == ENOENT) return NetworkUser{};  // the end
    if (error != 0) return Fail(OsError("fgetpwent_r", passwd, error));
    if (entry.pw_name != kName) continue;
    if (entry.pw_uid == 0 || entry.pw_gid == 0)
      return Fail(
          StateError(ConfigError::kNetworkUser, fmt::format("{}: {} has the number of root", passwd, kName)));
    return NetworkUser{entry.pw_uid, entry.pw_gid};
  }
}

}  // namespace assay::daemon
