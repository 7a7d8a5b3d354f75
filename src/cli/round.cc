#include "cli/round.h"

#include <nlohmann/json.hpp>

#include "attest/message.h"
#include "base/fd.h"
#include "base/json.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxHead = 64 << 10;
constexpr std::size_t kMaxState = std::size_t{16} << 20;

struct Part {
  const char* file;
  Bytes attest::Evidence::* bytes;
};
constexpr Part kParts[] = {
    {"attest.bin", &attest::Evidence::attest},
    {"signature.bin", &attest::Evidence::signature},
    {"run_signature.bin", &attest::Evidence::run_signature},
    {"ak_public.bin", &attest::Evidence::ak_public},
    {"ek_public.bin", &attest::Evidence::ek_public},
    {"claims.json", &attest::Evidence::claims},
    {"context.jsonl", &attest::Evidence::context},
    {"list.bin", &attest::Evidence::list},
    {"event_log.bin", &attest::Evidence::event_log},
};

}  // namespace

Result<> SaveRound(const Round& r, const std::string& folder) {
  ASSAY_TRY(MakeDirs(folder, 0700));
  for (const Part& part : kParts)
    ASSAY_TRY(WriteFileAtomic(folder + "/" + part.file, r.evidence.*part.bytes, 0600));
  ASSAY_TRY(WriteFileAtomic(folder + "/state.json", AsBytes(appraise::EncodeHostState(r.before)), 0600));
  const nlohmann::json head = {{"version", 2},
                               {"nonce", Hex(r.nonce)},
                               {"binding", {{"type", r.binding.type}, {"value", Hex(r.binding.value)}}},
                               {"peer", r.peer},
                               {"selection", tpm::SelectionText(r.selection)},
                               {"first_record", r.first_record},
                               {"time_ms", r.time_ms}};
  return WriteFileAtomic(folder + "/round.json", AsBytes(head.dump(1) + "\n"), 0600);
}

Result<Round> LoadRound(const std::string& folder) {
  Round r;
  ASSAY_ASSIGN(const Bytes text, ReadFile(folder + "/round.json", kMaxHead));
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(text), "round", kMaxHead));
  const JsonValue root = doc.root();
  ASSAY_TRY(root.OnlyKeys({"version", "nonce", "binding", "peer", "selection", "first_record", "time_ms"}));
  ASSAY_ASSIGN(const std::uint64_t version, root.U64("version"));
  if (version != 1 && version != 2) return Fail(ParseError("round", 0, "unknown version"));
  ASSAY_ASSIGN(const std::string nonce, root.Str("nonce"));
  ASSAY_ASSIGN(r.nonce, FromHex(nonce));
  if (r.nonce.size() != attest::kNonceSize) return Fail(ParseError("round", 0, "/nonce: not 32 bytes"));
  ASSAY_ASSIGN(const JsonValue binding, root.Object("binding"));
  ASSAY_TRY(binding.OnlyKeys({"type", "value"}));
  ASSAY_ASSIGN(r.binding.type, binding.Str("type"));
  ASSAY_ASSIGN(const std::string value, binding.Str("value"));
  ASSAY_ASSIGN(r.binding.value, FromHex(value));
  ASSAY_ASSIGN(r.peer, root.Str("peer"));
  ASSAY_ASSIGN(const std::string selection, root.Str("selection"));
  ASSAY_ASSIGN(r.selection, tpm::ParseSelectionText(selection));
  ASSAY_ASSIGN(r.first_record, root.U64("first_record"));
  ASSAY_ASSIGN(r.time_ms, root.U64("time_ms"));
  ASSAY_ASSIGN(const Bytes state, ReadFile(folder + "/state.json", kMaxState));
  ASSAY_ASSIGN(r.before, appraise::ParseHostState(AsText(state)));
  for (const Part& part : kParts) {
    if (version == 1 && part.bytes == &attest::Evidence::run_signature) continue;  // there was none
    ASSAY_ASSIGN(r.evidence.*part.bytes, ReadFile(folder + "/" + part.file, attest::kMaxEvidence));
  }
  return r;
}

}  // namespace assay::cli
