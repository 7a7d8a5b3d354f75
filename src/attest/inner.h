// The messages between the privileged process and the network-facing one: small messages of fixed form over
// pairs of SOCK_SEQPACKET sockets.
//
//   // given: const NetRequest& request
//   const Bytes packet = EncodeNetRequest(request);
//   ASSAY_ASSIGN(NetRequest parsed, ParseNetRequest(packet));
//
// Contract: docs/formats/challenge.md, "Inside the attester". Big-endian. One message is one packet, and
// every value has exactly one encoding. The privileged side treats every message as an attacker's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/fingerprint.h"
#include "evidence/message.h"

namespace assay::attest {

inline constexpr std::size_t kNetRequestMax = 617;
inline constexpr std::size_t kNetReportMax = 256;
inline constexpr std::size_t kNetChunk = 64 << 10;  // bytes of an answer in one packet, at most
inline constexpr unsigned kMaxSlots = 128;          // connections served at a time; each has a socket pair

// The request of one connection.
struct NetRequest {
  Fingerprint fingerprint;                  // of the peer's certificate
  std::array<std::uint8_t, 32> exporter{};  // RFC 9266
  evidence::Question question;
};
Bytes EncodeNetRequest(const NetRequest& request);
Result<NetRequest> ParseNetRequest(ByteView packet);

// The beginning of an answer: its size. Its bytes follow in packets of up to kNetChunk.
Bytes EncodeNetAnswer(std::uint64_t total);
Result<std::uint64_t> ParseNetAnswer(ByteView packet);

// The report that the network process sends once: it is ready, or why it is not.
struct NetReport {
  bool ready = false;
  std::uint32_t landlock_abi = 0;  // 0: this kernel has no Landlock
  std::string text;                // why not
};
Bytes EncodeNetReport(const NetReport& report);
Result<NetReport> ParseNetReport(ByteView packet);

// The settings that the network process gets at its start in a sealed memory file. It also gets descriptors:
// that file, the listening socket, and a socket for each slot.
struct NetSetup {
  std::uint32_t parent = 0;  // process id
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t slots = 0;
  std::uint32_t timeout_ms = 0;
  std::string certificate_pem, key_pem;
};
Bytes EncodeNetSetup(const NetSetup& setup);
Result<NetSetup> ParseNetSetup(ByteView bytes);

// Sends or receives one packet. A received packet of more than max bytes is a ParseError; StateError
// "inner.closed" means that the other side has closed its socket.
Result<> SendPacket(int fd, ByteView packet);
Result<Bytes> ReceivePacket(int fd, std::size_t max);
// All descriptors of the start in one packet of one byte. Receiving closes what it took where it fails; they
// are close-on-exec.
inline constexpr std::size_t kMaxDescriptors = kMaxSlots + 2;
Result<> SendDescriptors(int to, std::span<const int> fds);
Result<std::vector<UniqueFd>> ReceiveDescriptors(int from);

}  // namespace assay::attest
