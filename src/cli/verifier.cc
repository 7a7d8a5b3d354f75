#include "cli/verifier.h"

#include <algorithm>

#include "base/clock.h"
#include "base/fd.h"
#include "reference/self.h"

namespace assay::cli {
namespace {

constexpr std::string_view kSelf = "self";  // as a reference: this assay's own programs

}  // namespace

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

Result<reference::Indexes> LoadReferences(const std::vector<std::string>& paths,
                                          const std::vector<std::string>& images) {
  reference::Indexes all;
  // An installation knows its own programs.
  if (const std::string own = reference::SelfIndex();
      !own.empty() && std::find(paths.begin(), paths.end(), kSelf) == paths.end()) {
    ASSAY_ASSIGN(std::unique_ptr<reference::Index> index, reference::Index::Open(own));
    all.Add(std::move(index));
  }
  for (const std::string& path : paths) {
    if (path == kSelf) {
      ASSAY_ASSIGN(std::unique_ptr<reference::Index> self, reference::OpenSelf(ASSAY_VERSION));
      all.Add(std::move(self));
      continue;
    }
    Result<std::unique_ptr<reference::Index>> index = reference::Index::Open(path);
    if (!index) return Fail(index.error().In(path));
    all.Add(std::move(*index));
  }
  for (const std::string& text : images) {
    // The name of a service may have an '@' of its own.
    const std::size_t service = text.find(".service:");
    const std::size_t at = service == std::string::npos
                               ? text.rfind('@')
                               : text.find('@', text.rfind('/') == std::string::npos ? 0 : text.rfind('/'));
    evidence::ContainerPattern who;
    if (at != std::string::npos) {
      ASSAY_ASSIGN(who, evidence::ContainerPattern::Parse(std::string_view(text).substr(at + 1)));
    }
    const std::string path = text.substr(0, at);
    Result<std::unique_ptr<reference::Index>> index = reference::Index::Open(path);
    if (!index) return Fail(index.error().In(path));
    all.AddImage(who, path, std::move(*index));
  }
  return all;
}

Result<appraise::TrustedList> LoadTrusted(const std::string& path, const std::string& key_file,
                                          const appraise::Policy& policy) {
  if (path.empty()) return appraise::TrustedList{};
  ASSAY_ASSIGN(std::vector<PublicKey> keys, appraise::PolicyKeys("trusted_keys", policy.trusted_keys));
  if (!key_file.empty()) {
    ASSAY_ASSIGN(const std::string pem, ReadText(key_file, kMaxPemFile));
    ASSAY_ASSIGN(PublicKey key, PublicKey::FromPem(pem));
    keys.push_back(std::move(key));
  }
  return appraise::ReadTrusted(path, keys);
}

Result<> StoreState(const std::string& path, const appraise::HostState& state) {
  return WriteFileAtomic(path, AsBytes(appraise::EncodeHostState(state)), 0600);
}

Result<channel::TlsPeer> Address::Peer() const {
  channel::TlsPeer peer;
  peer.timeout = timeout;
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

void AddAddress(Command sub, Address& a) {
  const CommandOption unix_path =
      sub.AddOption("--unix", a.unix_path, "The attester's socket on this machine");
  CommandOption tls = sub.AddOption("--tls", a.tls, "HOST:PORT of the attester").Excludes(unix_path);
  const CommandOption pin = sub.AddOption("--pin", a.pin, "SHA-256 of the attester's certificate");
  const CommandOption cert = sub.AddOption("--cert", a.cert, "This verifier's certificate (PEM)");
  const CommandOption key = sub.AddOption("--key", a.key, "Its key (PEM)");
  tls.Needs(pin).Needs(cert).Needs(key);
}

}  // namespace assay::cli
