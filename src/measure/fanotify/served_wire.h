// Internal: what the attester and a process that watches one served mount say to each other, as packets of
// two socket pairs. `life` carries the setup to the process and its reports back, and its end is the order to
// stop; `calls` carries one question at a time and its reply.
//
//   // given: int socket, const SinkCall& call, ByteView packet
//   ASSAY_TRY(SendPacketTo(socket, Encode(call)));
//   ASSAY_ASSIGN(const SinkReply reply, ParseSinkReply(packet));
//
// Contract: the process reads what hostile file systems hold, so what it says is parsed like any untrusted
// input: bounded, and a ParseError "served" at the first byte that is wrong.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/result.h"
#include "measure/engine/engine.h"

namespace assay::measure {

inline constexpr std::size_t kMaxServedPacket = std::size_t{128} << 10;
inline constexpr int kServedLifeFd = 3, kServedCallsFd = 4;  // of the process

struct ServedSetup {
  std::string point;        // the mount
  dev_t device = 0;         // its file system's
  bool filesystem = false;  // mark the whole file system, not only the mount
  HashAlg bank = HashAlg::kSha256;
  std::string policy;  // its text
  Appraise appraise = Appraise::kOff;
  std::vector<std::string> extensions;
  dev_t initramfs_device = 0;
  HeldLimits limits;
};

struct SinkCall {
  enum class Kind : std::uint8_t { kRecord = 1, kViolation, kFlush, kKnown, kRefused };
  Kind kind = Kind::kFlush;
  Digest digest;  // may be empty
  Violation violation = Violation::kUnmeasurable;
  std::string path;
  Context context;
  bool flag = false;  // kRecord: the record names the control group; kRefused: enforced
  Digest code{};      // kRecord: of byte code (measure/system/byte_code.h); may be empty
};

struct SinkReply {
  bool ok = false;
  bool yes = false;  // kRecord, kViolation: it is new; kKnown: it is
  std::uint64_t index = 0;
  std::string code{}, what{};  // of the error
};

struct ServedReport {
  bool started = false;        // false: what is in code and what was wrong, and the process ends
  std::string code{}, what{};  // once it is started: of its health; empty: it is well
  EngineStats stats{};
};

// An error of the other side, by its own name.
struct ForwardedError : ErrorInfo {
  ForwardedError(std::string code_in, std::string what_in)
      : forwarded(std::move(code_in)), what(std::move(what_in)) {}
  std::string forwarded, what;
  std::string code() const override { return forwarded; }
  std::string Message() const override { return what; }
};

Bytes Encode(const ServedSetup& setup);
Bytes Encode(const SinkCall& call);
Bytes Encode(const SinkReply& reply);
Bytes Encode(const ServedReport& report);
Result<ServedSetup> ParseServedSetup(ByteView packet);
Result<SinkCall> ParseSinkCall(ByteView packet, HashAlg bank);
Result<SinkReply> ParseSinkReply(ByteView packet);
Result<ServedReport> ParseServedReport(ByteView packet);

void AddTo(EngineStats& sum, const EngineStats& stats);

Result<> SendPacketTo(int socket, ByteView packet, int flags = 0);  // of send(2), such as MSG_DONTWAIT
Result<Bytes> ReceivePacketFrom(int socket);                        // StateError "io.eof" at the end

}  // namespace assay::measure
