#include "cli/verifier.h"

#include "base/clock.h"
#include "base/fd.h"

namespace assay::cli {

Result<std::string> ReadText(const std::string& path, std::size_t max) {
  ASSAY_ASSIGN(const Bytes bytes, ReadFile(path, max));
  return std::string(AsText(bytes));
}

Result<appraise::Policy> LoadPolicy(const std::string& path) {
  if (path.empty()) return appraise::Policy{};
  ASSAY_ASSIGN(const std::string text, ReadText(path, appraise::kMaxPolicy));
  Result<appraise::Policy> policy = appraise::ParsePolicy(text);
  if (!policy) return Fail(policy.error().In(path));
  return policy;
}

Result<appraise::HostState> LoadState(const std::string& path) {
  if (path.empty()) return appraise::HostState{};
  const Result<Bytes> bytes = ReadFile(path, appraise::kMaxHostState);
  if (!bytes) {
    const auto* os = bytes.error().As<OsError>();
    if (os != nullptr && os->err == ENOENT) return appraise::HostState{};
    return Fail(bytes.error());
  }
  Result<appraise::HostState> state = appraise::ParseHostState(AsText(*bytes));
  if (!state) return Fail(state.error().In(path));
  return state;
}

Result<> StoreState(const std::string& path, const appraise::HostState& state) {
  return WriteFileAtomic(path, AsBytes(appraise::EncodeHostState(state)), 0600);
}

Result<channel::TlsPeer> Address::Peer() const {
  channel::TlsPeer peer;
  const std::size_t colon = tls.rfind(':');
  const std::string port = colon == std::string::npos ? "" : tls.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535)
    return Fail(UsageError("--tls: HOST:PORT, not '" + tls + "'"));
  peer.port = std::stoi(port);
  peer.host = tls.substr(0, colon);
  if (peer.host.starts_with('[') && peer.host.ends_with(']'))
    peer.host = peer.host.substr(1, peer.host.size() - 2);
  const Result<Fingerprint> pinned = Fingerprint::Parse(pin);
  if (!pinned)
    return Fail(
        UsageError("--pin: the SHA-256 of the attester's certificate, as 'assay keys show' prints it"));
  peer.pinned = *pinned;
  ASSAY_ASSIGN(peer.certificate_pem, ReadText(cert, kMaxPemFile));
  ASSAY_ASSIGN(peer.key_pem, ReadText(key, kMaxPemFile));
  return peer;
}

void AddAddress(CLI::App* sub, Address& a) {
  auto* unix_path = sub->add_option("--unix", a.unix_path, "The attester's socket on this machine");
  auto* tls = sub->add_option("--tls", a.tls, "HOST:PORT of the attester")->excludes(unix_path);
  auto* pin = sub->add_option("--pin", a.pin, "SHA-256 of the attester's certificate");
  auto* cert = sub->add_option("--cert", a.cert, "This verifier's certificate (PEM)");
  auto* key = sub->add_option("--key", a.key, "Its key (PEM)");
  tls->needs(pin)->needs(cert)->needs(key);
}

}  // namespace assay::cli
