#include "appraise/saved_round.h"

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/json.h"
#include "evidence/message.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxHead = 64 << 10;

struct Part {
  const char* file;
  Bytes evidence::Evidence::* bytes;
};
constexpr Part kParts[] = {
    {"attest.bin", &evidence::Evidence::attest},
    {"signature.bin", &evidence::Evidence::signature},
    {"run_signature.bin", &evidence::Evidence::run_signature},
    {"ak_public.bin", &evidence::Evidence::ak_public},
    {"ek_public.bin", &evidence::Evidence::ek_public},
    {"claims.json", &evidence::Evidence::claims},
    {"context.jsonl", &evidence::Evidence::context},
    {"list.bin", &evidence::Evidence::list},
    {"event_log.bin", &evidence::Evidence::event_log},
};

}  // namespace

Result<> SaveRound(const SavedRound& r, const std::string& folder) {
  ASSAY_TRY(MakeDirs(folder, 0700));
  for (const Part& part : kParts)
    ASSAY_TRY(WriteFileAtomic(folder + "/" + part.file, r.evidence.*part.bytes, 0600));
  ASSAY_TRY(WriteFileAtomic(folder + "/state.json", AsBytes(EncodeHostState(r.before)), 0600));
  const nlohmann::json head = {{"version", 2},
                               {"nonce", Hex(r.nonce)},
                               {"binding", {{"type", r.binding.type}, {"value", Hex(r.binding.value)}}},
                               {"peer", r.peer},
                               {"selection", tpm::SelectionText(r.selection)},
                               {"first_record", r.first_record},
                               {"time_ms", r.time_ms}};
  return WriteFileAtomic(folder + "/round.json", AsBytes(head.dump(1) + "\n"), 0600);
}

Result<SavedRound> LoadRound(const std::string& folder) {
  SavedRound r;
  ASSAY_ASSIGN(const Bytes text, ReadFile(folder + "/round.json", kMaxHead));
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(text), "round", kMaxHead));
  const JsonValue root = doc.root();
  ASSAY_TRY(root.OnlyKeys({"version", "nonce", "binding", "peer", "selection", "first_record", "time_ms"}));
  ASSAY_ASSIGN(const std::uint64_t version, root.U64("version"));
  if (version != 1 && version != 2) return Fail(ParseError("round", 0, "unknown version"));
  ASSAY_ASSIGN(const std::string nonce, root.Str("nonce"));
  ASSAY_ASSIGN(r.nonce, FromHex(nonce));
  if (r.nonce.size() != evidence::kNonceSize) return Fail(ParseError("round", 0, "/nonce: not 32 bytes"));
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
  ASSAY_ASSIGN(const Bytes state, ReadFile(folder + "/state.json", kMaxHostState));
  ASSAY_ASSIGN(r.before, ParseHostState(AsText(state)));
  for (const Part& part : kParts) {
    if (version == 1 && part.bytes == &evidence::Evidence::run_signature) continue;  // there was none
    ASSAY_ASSIGN(r.evidence.*part.bytes, ReadFile(folder + "/" + part.file, evidence::kMaxEvidence));
  }
  return r;
}

}  // namespace assay::appraise
