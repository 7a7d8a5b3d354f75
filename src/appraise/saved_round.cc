#include "appraise/saved_round.h"

#include "base/fd.h"
#include "base/json_members.h"
#include "evidence/message.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxHead = 64 << 10;
constexpr std::uint64_t kVersion = 3, kRunSignatureVersion = 2, kRedactionVersion = 3;

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

constexpr JsonText kSelection{tpm::SelectionText, tpm::ParseSelectionText};

constexpr JsonText kContainer{[](const evidence::ContainerPattern& p) { return p.Text(); },
                              evidence::ContainerPattern::Parse};
constexpr JsonText kContext{[](const Digest& d) { return d.hex(); },
                            [](std::string_view text) -> Result<Digest> {
                              ASSAY_ASSIGN(const Bytes bytes, FromHex(text));
                              return Digest::Of(HashAlg::kSha256, bytes);
                            }};
constexpr auto kRedaction = [](auto& visit, auto& r) {
  visit("container", r.container, kContainer);
  visit("context", r.context, kContext);
};

auto RoundMembers(std::uint64_t version) {
  return [version](auto& visit, auto& r) {
    visit.Constant("version", version);
    visit("nonce", r.nonce);
    visit("binding", r.binding, evidence::kBindingMembers);
    visit("peer", r.peer);
    visit("selection", r.selection, kSelection);
    visit("first_record", r.first_record);
    visit("time_ms", r.time_ms);
    if (version >= kRedactionVersion) visit.Optional("redaction", r.redaction, kRedaction);
  };
}

}  // namespace

std::string EncodeRound(const SavedRound& r) {
  return DumpJson(WriteMembers(RoundMembers(kVersion), r), 1) + "\n";
}

Result<RoundHead> ParseRound(std::string_view text) {
  RoundHead head;
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(text, "round", kMaxHead));
  ASSAY_ASSIGN(head.version, doc.root().U64("version"));
  if (head.version < 1 || head.version > kVersion) return Fail(ParseError("round", 0, "unknown version"));
  ASSAY_TRY(ReadMembers(RoundMembers(head.version), doc.root(), head.round));
  return head;
}

Result<> SaveRound(const SavedRound& r, const std::string& folder) {
  ASSAY_TRY(MakeDirs(folder, 0700));
  for (const Part& part : kParts)
    ASSAY_TRY(WriteFileAtomic(folder + "/" + part.file, r.evidence.*part.bytes, 0600));
  ASSAY_TRY(WriteFileAtomic(folder + "/state.json", AsBytes(EncodeHostState(r.before)), 0600));
  return WriteFileAtomic(folder + "/round.json", AsBytes(EncodeRound(r)), 0600);
}

Result<SavedRound> LoadRound(const std::string& folder) {
  ASSAY_ASSIGN(const Bytes text, ReadFile(folder + "/round.json", kMaxHead));
  ASSAY_ASSIGN(RoundHead head, ParseRound(AsText(text)));
  SavedRound& r = head.round;
  ASSAY_ASSIGN(const Bytes state, ReadFile(folder + "/state.json", kMaxHostState));
  ASSAY_ASSIGN(r.before, ParseHostState(AsText(state)));
  for (const Part& part : kParts) {
    if (head.version < kRunSignatureVersion && part.bytes == &evidence::Evidence::run_signature)
      // Version 1 has no such part.
      continue;
    ASSAY_ASSIGN(r.evidence.*part.bytes, ReadFile(folder + "/" + part.file, evidence::kMaxEvidence));
  }
  return std::move(head.round);
}

}  // namespace assay::appraise
