// Evidence: what an attester sends to a verifier, and how the quote covers all of it.
//
//   // given: const Evidence& evidence, const Nonce& nonce, const Binding& binding
//   const Bytes expected = Qualifying(nonce, binding, evidence.claims, evidence.context);   // in the quote
//   ASSAY_ASSIGN(Claims claims, ParseClaims(evidence.claims));
//
// Contract: claims and context are hashed as the bytes that were received; parsing never changes them. They
// are statements of the attester, signed by the AK and by the key of the run that the list names. The list is
// proven by the PCR. docs/formats/challenge.md
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"
#include "evidence/host_name.h"
#include "evidence/nonce.h"
#include "tpm/attest_data.h"

namespace assay::evidence {

inline constexpr std::size_t kMaxClaims = 1 << 20;  // bytes of their JSON

// The channel over which the evidence was requested. type: "tls-exporter" (RFC 9266), "unix" (value: empty)
// or "none" (evidence kept in files: value empty).
struct Binding {
  std::string type;
  Bytes value;
  bool operator==(const Binding&) const = default;
};
// Its members in the JSON formats that hold one (base/json_members.h).
inline constexpr auto kBindingMembers = [](auto& visit, auto& binding) {
  visit("type", binding.type);
  visit("value", binding.value);
};

// SHA-256("assay-challenge-v1" 0x00 | nonce[32] | u16be len | type | u16be len | value | SHA-256(claims) |
// SHA-256(context)).
Bytes Qualifying(const Nonce& nonce, const Binding& binding, ByteView claims, ByteView context);
// The same, of a context of which only the SHA-256 is known.
Bytes Qualifying(const Nonce& nonce, const Binding& binding, ByteView claims, const Digest& context);

// What the run key signs: "assay-run-v1" 0x00 | attest. The quote has Qualifying() as its extraData, so the
// statement covers nonce, binding, claims and context too.
Bytes RunStatement(ByteView attest);

enum class Level { kQuote, kList, kFull };  // what a challenger may see: only the claims, + list, + context
std::string_view LevelName(Level level);    // "quote", "list", "full"
Result<Level> ParseLevel(std::string_view name);

// The list's PCR after so many records.
struct Checkpoint {
  std::uint64_t records = 0;
  Digest value;
  bool operator==(const Checkpoint&) const = default;
};

struct Claims {
  std::string version;  // of the attester: "0.1.0"
  HostName hostname;
  std::string boot_id;
  std::uint64_t started_ms = 0;  // of the attester, since the epoch
  std::uint32_t pcr = 10;
  HashAlg list_bank = HashAlg::kSha256;
  std::uint64_t first_record = 0;  // of the list in this evidence
  std::uint64_t list_count = 0;    // records when quoted
  std::uint64_t overflow = 0;      // records extended but not kept: the list is full
  std::uint64_t violations = 0;
  std::uint64_t gaps = 0;
  std::string engine;        // "fanotify"
  std::string engine_state;  // "ok", or an error's sentence
  // Why the list no longer fits its PCR: "recorder.pcr-reset", "recorder.pcr-foreign"; else empty.
  std::string recorder;
  bool tpm_reset = false;  // the attester has noticed that the TPM was reset while it runs
  // For the engine "kernel-ima": the kernel's IMA policy ("ima_policy=tcb"); else empty.
  std::string kernel_policy;
  Nonce nonce;  // nonce and binding as the attester received them, so that the verifier can tell which of
  Binding binding;
  std::string tpm_manufacturer, tpm_vendor, tpm_firmware;
  bool tpm_software = false;
  Level level = Level::kFull;
  tpm::PcrValues pcrs;                  // of the banks and PCRs that were quoted
  std::vector<Checkpoint> checkpoints;  // in list_bank: for naming tampering
  bool operator==(const Claims&) const = default;
};
Bytes EncodeClaims(const Claims& claims);  // JSON, docs/formats/challenge.md
Result<Claims> ParseClaims(ByteView json);

// One line of the context: the task that loaded an entry of the list. sub: position within a group, else 0.
struct ContextEntry {
  std::uint64_t index = 0;
  std::uint32_t sub = 0;
  std::uint64_t time_ms = 0;
  std::uint32_t pid = 0, uid = 0;
  std::string comm, hook;
  std::string cgroup{};   // this and what follows: empty where it is unknown
  std::string program{};  // the path of the task's program
  std::string script{};   // what its command line tells an interpreter to run
  std::string under{};    // its parents' names, the nearest first: "dpkg, apt-get"
  bool operator==(const ContextEntry&) const = default;
};
Bytes EncodeContextLine(const ContextEntry& entry);  // a JSON line, with its newline
Result<std::vector<ContextEntry>> ParseContext(ByteView lines);
// The id or name of the container that a control group belongs to (evidence/container.h). Empty: it belongs
// to none.
std::string ContainerOf(std::string_view cgroup);

struct Evidence {
  Bytes attest;         // TPMS_ATTEST
  Bytes signature;      // TPMT_SIGNATURE
  Bytes run_signature;  // TPMT_SIGNATURE over RunStatement(attest), by the key of the last assay-start; may
                        // be empty
  Bytes ak_public;      // TPMT_PUBLIC
  Bytes ek_public;      // TPMT_PUBLIC, may be empty
  Bytes claims;
  Bytes context;    // JSON lines from first_record on; empty below Level::kFull
  Bytes list;       // binary list in claims.list_bank, from claims.first_record on; empty at Level::kQuote
  Bytes event_log;  // the firmware's, may be empty
  bool operator==(const Evidence&) const = default;
};

}  // namespace assay::evidence
