// The verifier's side of a challenge (with an attester or a saved round), and the verification of signed
// results. man/assay-attest.1, man/assay-appraise.1
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "appraise/result.h"
#include "appraise/saved_round.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "cli/attest_round.h"
#include "cli/commands.h"
#include "cli/hosts.h"
#include "cli/own_machine.h"
#include "cli/progress.h"
#include "cli/verifier.h"
#include "cli/watchdog.h"

namespace assay::cli {
namespace {

using appraise::Appraisal;
using appraise::Verdict;

constexpr std::size_t kMaxResult = std::size_t{16} << 20;
constexpr std::uint64_t kMaxSkew = 300;  // seconds that the clock of a result's signer may be ahead

struct AttestOptions {
  Address address;
  std::vector<std::string> references, images, boots;
  std::string policy, state, save, ear_key, ear_out, selection;
  std::string trusted, trusted_key;
  std::string findings;  // prefix of the names of the findings to print
  bool entries = false, full = false, all_findings = false;
  std::string folder, list;        // appraise
  std::string result, nonce, pub;  // result verify
  bool affirming = false;
  std::string all;  // a hosts file
};

void Print(const Appraisal& a, const AttestOptions& o, const Session& session,
           const appraise::HostState& before, const std::optional<OwnMachine>& own = std::nullopt) {
  const appraise::Shown shown{.before = &before, .all = o.all_findings, .findings = o.findings};
  if (!session.json) {
    fmt::print("{}{}", Describe(a, o.entries, session.colour, shown), own ? own->Tell() : "");
    return;
  }
  nlohmann::json document = ToJson(a, o.entries, shown);
  if (own) document["own_machine"] = own->ToJson();
  session.Answer(std::move(document));
}

Result<> WriteEar(const Appraisal& a, const appraise::SavedRound& r, const AttestOptions& o) {
  ASSAY_ASSIGN(const std::string pem, ReadText(o.ear_key, kMaxPemFile));
  ASSAY_ASSIGN(const PrivateKey key, PrivateKey::FromPem(pem));
  appraise::EarContext context;
  context.host = !o.address.tls.empty()      ? o.address.tls
                 : a.claims.hostname.empty() ? "localhost"
                                             : a.claims.hostname.ToString();
  context.verifier_build = "assay " ASSAY_VERSION;
  context.nonce = r.nonce;
  context.now_ms = NowMs();
  ASSAY_ASSIGN(const std::string jwt, SignEar(a, context, key));
  return WriteFileAtomic(o.ear_out, AsBytes(jwt + "\n"), 0644);
}

Result<int> Attest(const AttestOptions& o, const Session& session) {
  Target target{.address = o.address,
                .references = o.references,
                .boots = o.boots,
                .images = o.images,
                .policy = o.policy,
                .state = o.state,
                .trusted = o.trusted,
                .trusted_key = o.trusted_key,
                .nonce = o.nonce,
                .selection = o.selection,
                .full = o.full,
                .entries = o.entries};
  std::optional<OwnMachine> own;
  if (!o.address.given()) {
    ASSAY_ASSIGN(own, UseOwnMachine(target));
  }
  Result<RoundResult> asked;
  {
    Progress progress(session.progress, "");
    asked = AttestOnce(target, [&](const std::string& doing) { progress.Say(doing); });
  }
  if (!asked) return Fail(asked.error());
  const auto& [round, a] = *asked;
  if (!o.save.empty()) ASSAY_TRY(appraise::SaveRound(round, o.save));
  if (!o.ear_out.empty()) ASSAY_TRY(WriteEar(a, round, o));
  Print(a, o, session, round.before, own);
  return static_cast<int>(a.verdict);
}

Result<int> AppraiseSaved(const AttestOptions& o, const Session& session) {
  ASSAY_ASSIGN(const appraise::Policy policy, LoadPolicy(o.policy));
  ASSAY_ASSIGN(const reference::Indexes references, LoadReferences(o.references, o.images));
  ASSAY_ASSIGN(const std::vector<boot::ExpectedBoot> boots, LoadBoots(o.boots));
  ASSAY_ASSIGN(const appraise::TrustedList trusted, LoadTrusted(o.trusted, o.trusted_key, policy));
  Result<appraise::SavedRound> loaded = appraise::LoadRound(o.folder);
  if (!loaded) return Fail(loaded.error().In(o.folder));
  if (!o.list.empty()) {
    ASSAY_ASSIGN(loaded->evidence.list, ReadFile(o.list, evidence::kMaxEvidence));
  }
  if (!o.nonce.empty()) {
    ASSAY_ASSIGN(loaded->nonce, evidence::Nonce::Parse(o.nonce));
  }
  if (!o.state.empty()) {
    ASSAY_ASSIGN(loaded->before, LoadState(o.state));
  }
  appraise::Request request = loaded->AsRequest();
  request.entries = o.entries;
  const Appraisal a = Appraise(request, loaded->before, references, policy, boots, trusted);
  Print(a, o, session, loaded->before);
  return static_cast<int>(a.verdict);
}

// The exit code for the worst of the attesters in the result. affirming: a verdict that does not reach back
// to the boot does not suffice.
Result<int> ExitCodeOf(const JsonValue& claims, bool affirming) {
  ASSAY_ASSIGN(const JsonValue submods, claims.Object("submods"));
  int worst = kExitOk;
  bool any = false;
  ASSAY_TRY(submods.EachMember([&](std::string_view, const JsonValue& v) -> Result<> {
    ASSAY_ASSIGN(const std::uint64_t status, v.U64("ear.status"));
    any = true;
    if (status == 96)
      worst = kExitNotTrusted;
    else if (status != 2 && (status != 32 || affirming) && worst == kExitOk)
      worst = kExitUnknown;
    return {};
  }));
  return any ? worst : kExitUnknown;
}

Result<int> VerifyResult(const AttestOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::string pem, ReadText(o.pub, kMaxPemFile));
  ASSAY_ASSIGN(const PublicKey key, PublicKey::FromPem(pem));
  ASSAY_ASSIGN(std::string jwt, ReadText(o.result, kMaxResult));
  while (jwt.ends_with('\n')) jwt.pop_back();
  const Result<std::string> claims = appraise::VerifyEar(jwt, key);
  if (!claims) return Fail(claims.error().In(o.result));
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(*claims, "ear", kMaxResult));
  ASSAY_ASSIGN(const std::uint64_t issued, doc.root().U64("iat"));
  ASSAY_ASSIGN(const std::uint64_t expires, doc.root().U64("exp"));
  ASSAY_ASSIGN(int code, ExitCodeOf(doc.root(), o.affirming));
  std::string why;
  if (const std::uint64_t now = NowMs() / 1000; now >= expires)
    why = fmt::format("it expired {} s ago", now - expires);
  else if (issued > now + kMaxSkew)
    why = "it was issued in the future";
  if (!o.nonce.empty()) {
    ASSAY_ASSIGN(const evidence::Nonce nonce, evidence::Nonce::Parse(o.nonce));
    ASSAY_ASSIGN(const std::string given, doc.root().Str("eat_nonce"));
    if (given != Base64Url(nonce.view())) why = "it answers another nonce";
  }
  if (!why.empty()) code = kExitUnknown;
  if (session.json)
    session.Answer({{"claims", nlohmann::json::parse(*claims, nullptr, false)}, {"reason", why}}, code);
  else
    fmt::print("{}{}\n", appraise::VerdictName(static_cast<Verdict>(code)), why.empty() ? "" : ": " + why);
  return code;
}

void AddJudging(Command sub, const std::shared_ptr<AttestOptions>& o) {
  sub.AddOption("--reference", o->references,
                "Indexes of reference values; self: of the programs of this assay");
  sub.AddOption("--image", o->images, "INDEX@CONTAINER: of the image that the container was made from");
  sub.AddOption("--boot", o->boots, "Expected boots, written by 'assay boot learn'");
  sub.AddOption("--policy", o->policy, "Appraisal policy (JSON)");
  const CommandOption trusted =
      sub.AddOption("--trusted", o->trusted, "The owner's trusted list, written by 'assay trust'");
  sub.AddOption("--trusted-key", o->trusted_key, "Public key (PEM) that may sign it, besides the policy's")
      .Needs(trusted);
  sub.AddFlag("--entries", o->entries, "Print each entry");
  sub.AddFlag("--long", o->all_findings, "Print every finding, and all that is known of it");
  sub.AddOption("--findings", o->findings, "Print only findings whose name begins with this");
}

}  // namespace

void AddAttest(Command app, Session& session) {
  auto o = std::make_shared<AttestOptions>();
  Command attest = app.AddCommand("attest", "Challenge an attester and appraise its evidence");
  AddAddress(attest, o->address);
  AddTimeout(attest, session);
  AddJudging(attest, o);
  attest.AddOption("--state", o->state, "File with what is known of this host, updated in each round");
  attest.AddOption("--save", o->save, "Save this round in a folder, for 'assay appraise'");
  CommandOption ear_key = attest.AddOption("--ear-key", o->ear_key, "Sign the result with this key (PEM)");
  const CommandOption ear_out =
      attest.AddOption("--ear-out", o->ear_out, "File for the signed result").Needs(ear_key);
  ear_key.Needs(ear_out);
  attest.AddOption("--selection", o->selection,
                   "Banks and PCRs to quote (usually 0 to 14 in the bank of the list)");
  attest.AddOption("--nonce", o->nonce, "Ask with this nonce, which a tenant has chosen (hex)");
  attest.AddFlag("--full", o->full, "Ask for the whole list");
  CommandOption all = attest.AddOption("--all", o->all, "Challenge every host of this file (JSON)");
  for (const char* one : {"--unix", "--tls", "--reference", "--image", "--boot", "--policy", "--trusted",
                          "--state", "--save", "--nonce", "--ear-key"})
    all.Excludes(attest.Find(one));
  attest.OnRun([o, &session] {
    if (session.timeout.count() > 0) o->address.timeout = session.timeout;
    session.Finish(o->all.empty() ? Attest(*o, session)
                                  : AttestAll({.file = o->all,
                                               .selection = o->selection,
                                               .findings = o->findings,
                                               .all_findings = o->all_findings,
                                               .full = o->full},
                                              session));
  });

  Command appraise = app.AddCommand("appraise", "Appraise saved evidence");
  appraise.AddOption("folder", o->folder, "Folder written by 'assay attest --save'").Required();
  AddJudging(appraise, o);
  appraise.AddOption("--nonce", o->nonce, "The nonce that the round must answer (hex)");
  appraise.AddOption("--state", o->state, "What is known of the host, instead of what the round says of it");
  appraise.AddOption("--list", o->list, "Use this measurement list instead of the saved one");
  appraise.OnRun([o, &session] { session.Finish(AppraiseSaved(*o, session)); });

  Command result = app.AddCommand("result", "Check attestation results");
  result.RequireCommand();
  Command verify = result.AddCommand("verify", "Check a signed result: its verdict is the exit code");
  verify.AddOption("file", o->result, "The result").Required();
  verify.AddOption("--key", o->pub, "The verifier's public key (PEM)").Required();
  verify.AddOption("--nonce", o->nonce, "The nonce that it must answer (hex)");
  verify.AddFlag("--affirming", o->affirming, "Accept only a verdict that reaches back to the boot");
  verify.OnRun([o, &session] { session.Finish(VerifyResult(*o, session)); });
}

}  // namespace assay::cli
