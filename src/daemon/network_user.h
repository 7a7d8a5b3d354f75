// The user that the network process becomes.
//
//   ASSAY_ASSIGN(const NetworkUser user, FindNetworkUser("/etc/passwd"));
//   log::Info("assay-net runs as {}", user.uid);
//
// Contract: the user "_assay-net" of the file, which the package makes and no other program uses; without
// such a user it is 65534 (nobody). Root is no such user: a line that names it is an error. The file is read
// as it is and not through NSS, whose libraries the attester would have to load. Source: passwd(5).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace assay::daemon {

struct NetworkUser {
  uid_t uid = 65534;
  gid_t gid = 65534;
};

Result<NetworkUser> FindNetworkUser(const std::string& passwd);

}  // namespace assay::daemon
