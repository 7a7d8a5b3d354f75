// What the configuration names for serving and as the manifest: read and checked, without an effect.
//
//   // given: const Config& config
//   ASSAY_ASSIGN(attest::ServerOptions serve, ServeOptions(config));
//   ASSAY_ASSIGN(const Manifest manifest, OpenManifest(config));
//   if (manifest.index) log::Info("{} digests", manifest.index->size());
//
// Contract: a start, a reload and `assayd --check` read the same files by the same checks. An error names the
// file.
#pragma once

#include <memory>
#include <string>

#include "attest/server.h"
#include "base/crypto.h"
#include "daemon/config.h"
#include "reference/index.h"
#include "tpm/tpm.h"

namespace assay::daemon {

std::string ServeUnixPath(const Config& config);  // empty: no socket
// The certificate and the key fit together, and only root can read the key.
Result<attest::ServerOptions> ServeOptions(const Config& config);

// Of the TPM's hierarchies. A newline at the end of a file is no part of the password; only root and its
// group may read the file.
Result<tpm::Passwords> ReadPasswords(const Config& config);

struct Manifest {
  std::unique_ptr<reference::Index> index;  // null: the configuration names none
  Bytes signature, key;                     // key: the SubjectPublicKeyInfo that the signature fits
};
Result<Manifest> OpenManifest(const Config& config);

}  // namespace assay::daemon
