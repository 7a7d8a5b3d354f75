#include "daemon/inputs.h"

#include "base/fd.h"
#include "channel/tls.h"
#include "daemon/network_user.h"

namespace assay::daemon {
namespace {

constexpr std::size_t kMaxKey = 64 << 10, kMaxCertificates = 1 << 20;  // bytes of PEM
constexpr std::size_t kMaxPasswordFile = 65;                           // bytes: a password and a newline

}  // namespace

std::string ServeUnixPath(const Config& config) {
  return config.serve_unix ? config.run_dir + "/challenge.sock" : "";
}

Result<attest::ServerOptions> ServeOptions(const Config& config) {
  attest::ServerOptions serve;
  serve.unix_path = ServeUnixPath(config);
  serve.unix_level = config.unix_level;
  if (config.listen.empty()) return serve;
  ASSAY_ASSIGN(const ListenAddress address, ParseListen(config.listen));
  serve.listen_host = address.host;
  serve.listen_port = address.port == 0 ? -1 : address.port;
  ASSAY_TRY(CheckKeyFile(config.key));
  ASSAY_ASSIGN(const Bytes certificate, ReadFile(config.certificate, kMaxCertificates));
  ASSAY_ASSIGN(const Bytes key, ReadFile(config.key, kMaxKey));
  serve.certificate_pem = AsText(certificate);
  serve.key_pem = AsText(key);
  serve.allow = config.allow;
  ASSAY_ASSIGN(const NetworkUser user, FindNetworkUser("/etc/passwd"));
  serve.uid = user.uid;
  serve.gid = user.gid;
  ASSAY_TRY(channel::TlsServerContext({serve.certificate_pem, serve.key_pem}));
  return serve;
}

Result<tpm::Passwords> ReadPasswords(const Config& config) {
  tpm::Passwords passwords;
  const auto read = [](const std::string& path, Bytes& into) -> Result<> {
    if (path.empty()) return {};
    ASSAY_TRY(CheckKeyFile(path));
    ASSAY_ASSIGN(into, ReadFile(path, kMaxPasswordFile));
    if (!into.empty() && into.back() == '\n') into.pop_back();
    return {};
  };
  ASSAY_TRY(read(config.endorsement_password_file, passwords.endorsement));
  ASSAY_TRY(read(config.owner_password_file, passwords.owner));
  return passwords;
}

Result<Manifest> OpenManifest(const Config& config) {
  Manifest manifest;
  if (config.manifest.empty()) return manifest;
  ASSAY_ASSIGN(const Bytes pem, ReadFile(config.manifest_key, kMaxKey));
  ASSAY_ASSIGN(const PublicKey key, PublicKey::FromPem(AsText(pem)));
  ASSAY_ASSIGN(manifest.signature, reference::VerifyManifest(config.manifest, key));
  ASSAY_ASSIGN(manifest.index, reference::Index::Open(config.manifest));
  manifest.key = key.Der();
  return manifest;
}

}  // namespace assay::daemon
