// The verifier's side of enrolment: it verifies the identity of an attester's TPM, and pins its keys in the
// host's state. man/assay-enrol.1
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "appraise/enrolment.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/verifier.h"
#include "cli/watchdog.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxFiles = 10'000;
constexpr std::size_t kMaxCrlFile = std::size_t{16} << 20;

struct EnrolOptions {
  Address address;
  std::string policy, state;
  std::vector<std::string> roots, crls;
  bool require_crls = false, again = false;
};

// Reads a file, or all files of a folder. A root certificate that can't be read is an error and is not left
// out.
Result<> EachFile(const std::vector<std::string>& paths, std::size_t max,
                  const std::function<Result<>(std::string_view)>& add) {
  for (const std::string& path : paths) {
    std::vector<std::string> files{path};
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      files.clear();
      for (std::filesystem::directory_iterator i(path, error), end; !error && i != end; i.increment(error))
        if (i->is_regular_file(error)) files.push_back(i->path());
      if (error) return Fail(OsError("readdir", path, error.value()));
      if (files.empty()) return Fail(UsageError(path + ": an empty folder"));
      if (files.size() > kMaxFiles) return Fail(UsageError(path + ": too many files"));
      std::sort(files.begin(), files.end());
    }
    for (const std::string& file : files) {
      ASSAY_ASSIGN(const std::string text, ReadText(file, max));
      if (const Result<> added = add(text); !added) return Fail(added.error().In(file));
    }
  }
  return {};
}

Result<int> RunEnrol(const EnrolOptions& o, const Session& session) {
  if (!o.address.given())
    return Fail(UsageError("enrol: name the attester: --unix SOCKET, or --tls HOST:PORT"));
  ASSAY_ASSIGN(const appraise::Policy policy, LoadPolicy(o.policy));
  tpm::EkTrust trust;
  ASSAY_TRY(
      EachFile(o.roots, kMaxPemFile, [&](std::string_view text) { return trust.AddCertificates(text); }));
  ASSAY_TRY(EachFile(o.crls, kMaxCrlFile, [&](std::string_view text) { return trust.AddCrls(text); }));
  if (!o.roots.empty() && trust.roots() == 0)
    return Fail(UsageError("--roots: none of these certificates is a self-signed root"));
  if (o.require_crls) trust.RequireCrls();
  appraise::HostState before;
  if (!o.again) {
    ASSAY_ASSIGN(before, LoadState(o.state));
  }
  Result<channel::EnrolAnswer> answer;
  {
    Progress progress(session.progress, "");
    progress.Say("asking the attester");
    if (!o.address.unix_path.empty()) {
      answer = channel::EnrolUnix(o.address.unix_path, o.address.timeout);
    } else {
      ASSAY_ASSIGN(const channel::TlsPeer peer, o.address.Peer());
      answer = channel::EnrolTls(peer);
    }
  }
  if (!answer) return Fail(answer.error().In("asking the attester at " + o.address.text()));
  const appraise::Enrolment e = Enrol({.identity = answer->identity,
                                       .proven = answer->proven,
                                       .why = answer->why,
                                       .trust = trust,
                                       .now_s = static_cast<std::int64_t>(NowMs() / 1000),
                                       .activation = answer->activation,
                                       .device_qualifying = answer->device_qualifying},
                                      before, policy);
  const bool done = e.verdict == appraise::Verdict::kTrusted;
  if (done) ASSAY_TRY(StoreState(o.state, e.host));
  if (session.json)
    session.Answer(ToJson(e), done ? kExitOk : kExitNotTrusted);
  else
    fmt::print("{}", Describe(e, session.colour));
  return done ? kExitOk : kExitNotTrusted;
}

}  // namespace

void AddEnrol(Command app, Session& session) {
  auto o = std::make_shared<EnrolOptions>();
  Command enrol = app.AddCommand("enrol", "Verify the identity of an attester's TPM, and pin its keys");
  AddAddress(enrol, o->address);
  AddTimeout(enrol, session);
  enrol.AddOption("--state", o->state, "File with what is known of this host; the keys are pinned there")
      .Required();
  enrol.AddOption("--policy", o->policy, "Appraisal policy (JSON)");
  enrol.AddOption("--roots", o->roots, "Certificates of TPM makers: files or folders (PEM, DER)");
  enrol.AddOption("--crls", o->crls, "Their revocation lists: files or folders (PEM, DER)");
  enrol.AddFlag("--require-crls", o->require_crls,
                "Refuse a certificate whose issuer has no revocation list here");
  enrol.AddFlag("--again", o->again, "Begin again: forget the keys and the list in the state");
  enrol.OnRun([o, &session] {
    if (session.timeout.count() > 0) o->address.timeout = session.timeout;
    session.Finish(RunEnrol(*o, session));
  });
}

}  // namespace assay::cli
