// Shared by the commands of a verifier: the attester's address, the host's state, the policy.
//
//   // given: Command sub, Address& address
//   AddAddress(sub, address);                                  // --unix, or --tls with --pin, --cert, --key
//   ASSAY_ASSIGN(channel::TlsPeer peer, address.Peer());       // after the options are parsed
//   ASSAY_ASSIGN(appraise::Policy policy, LoadPolicy(""));     // the default policy
//
// Contract: files are bounded; an error names the file.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "appraise/appraise.h"
#include "base/command_line.h"
#include "channel/client.h"
#include "reference/index.h"

namespace assay::cli {

inline constexpr std::size_t kMaxPemFile = 64 << 10;

struct Address {
  std::string unix_path, tls, pin, cert, key;
  std::chrono::seconds timeout = channel::kPatience;
  bool given() const { return !unix_path.empty() || !tls.empty(); }
  std::string text() const { return unix_path.empty() ? tls : unix_path; }
  Result<channel::TlsPeer> Peer() const;
};
void AddAddress(Command sub, Address& address);  // --unix, or --tls with --pin, --cert, --key

Result<std::string> ReadText(const std::string& path, std::size_t max);
Result<appraise::Policy> LoadPolicy(const std::string& path);  // empty: the defaults
// An empty path or a missing file: nothing is known.
Result<appraise::HostState> LoadState(const std::string& path);
Result<> StoreState(const std::string& path, const appraise::HostState& state);

// Indexes of reference values ("self": of this assay). An installation's own programs are always known.
// images: INDEX@CONTAINER (evidence::ContainerPattern); INDEX alone is of all containers of the system.
Result<reference::Indexes> LoadReferences(const std::vector<std::string>& paths,
                                          const std::vector<std::string>& images = {});
// The owner's trusted list, which a key of the policy (trusted_keys) or the one in key_file must have signed.
// An empty path: an empty list.
Result<appraise::TrustedList> LoadTrusted(const std::string& path, const std::string& key_file,
                                          const appraise::Policy& policy);

}  // namespace assay::cli
