// `assay attest`, `appraise` and `result` as they are used, against a real recorder, a software TPM and a
// Unix socket.
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "appraise/finding_names.h"
#include "appraise/synthetic.h"
#include "attest/server.h"
#include "base/fd.h"
#include "base/result_testing.h"
#include "channel/client.h"
#include "channel/stream.h"
#include "cli/attest_round.h"
#include "cli/commands.h"
#include "evidence/errors.h"
#include "evidence/message.h"
#include "list/list.h"
#include "measure/record/recorder_testing.h"
#include "reference/index.h"
#include "tpm/run_key.h"

namespace assay::cli {
namespace {

using nlohmann::json;

class AttestTest : public measure::RecordingTest {
 protected:
  AttestTest() { certified_ = true; }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    for (const char* file : {"assayd", "tool", "other"}) Put("app/" + std::string(file), file);
    reference::Builder builder;
    ASSERT_THAT(builder.AddFolder(dir_ + "/app", "app", "1.0"), IsOk());
    ASSERT_THAT(builder.Write(dir_ + "/app.idx"), IsOk());
    Put("policy.json", R"({"allow_software_tpm": true, "allow_first_use": true})");
    recorder_options_.allow_retire = true;
    Start(1);
  }
  void TearDown() override {
    StopAttester();
    RecordingTest::TearDown();
  }
  void Start(int run) {
    ASSERT_NO_FATAL_FAILURE(OpenRecorder());
    run_key_.reset();
    auto run_key = tpm::RunKey::Create(*tpm_);
    ASSERT_THAT(run_key, IsOk());
    run_key_ = std::move(*run_key);
    Own("assay-start", {{"version", "0.1.0"},
                        {"scope", "host"},
                        {"tasks_before", 0},
                        {"run", run},
                        {"run_key", Hex(run_key_->public_area())},
                        {"executable", dir_ + "/app/assayd"},
                        {"components", {dir_ + "/app/assayd"}}});
    Load("app/assayd");
    Own("assay-policy", appraise::Measuring());
    Own("assay-engine", {{"engine", "fanotify"}, {"scope", "host"}});
    attest::CollectorOptions collect;
    collect.engine = [] { return std::pair<std::string, std::string>("fanotify", "ok"); };
    collect.run = [this](ByteView statement) { return run_key_->Sign(statement); };
    auto collector = attest::Collector::Create(std::move(collect), *recorder_, *tpm_, tpm::AkKind::kEccP256);
    ASSERT_THAT(collector, IsOk());
    collector_ = std::move(*collector);
    attest::ServerOptions serve;
    serve.unix_path = Socket();
    auto server = attest::Server::Start(std::move(serve), *collector_);
    ASSERT_THAT(server, IsOk());
    server_ = std::move(*server);
  }
  void StopAttester() {
    server_.reset();
    collector_.reset();
    run_key_.reset();
    recorder_.reset();
  }
  std::string Socket() const { return dir_ + "/challenge.sock"; }
  void Put(const std::string& file, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(dir_ + "/" + file).parent_path());
    std::ofstream(dir_ + "/" + file) << content;
  }
  void Load(const std::string& file) {
    const auto content = ReadFile(dir_ + "/" + file, 1 << 20);
    ASSERT_THAT(content, IsOk());
    auto r = recorder_->Record({Hash(HashAlg::kSha256, *content), dir_ + "/" + file, {}});
    ASSERT_THAT(r, IsOk());
  }
  void Own(const std::string& name, const json& content) {
    auto r = recorder_->RecordBuffer(name, AsBytes(content.dump()), {});
    ASSERT_THAT(r, IsOk());
  }
  // Runs the command; what it printed is in out_.
  int Assay(std::vector<std::string> argv) {
    Session session;
    session.json = std::find(argv.begin(), argv.end(), "--json") != argv.end();
    std::erase(argv, "--json");
    CommandLine line("");
    const Command app = line.root();
    AddAttest(app, session);
    AddEnrol(app, session);
    AddTrust(app, session);
    AddExplain(app, session);
    AddReference(app, session);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    if (!line.Parse(std::move(argv))) session.exit_code = kExitUsage;
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return session.exit_code;
  }
  int Attest(std::vector<std::string> more) {
    std::vector<std::string> argv{
        "attest",      "--unix",          Socket(),  "--policy",         dir_ + "/policy.json",
        "--reference", dir_ + "/app.idx", "--state", dir_ + "/host.json"};
    argv.insert(argv.end(), more.begin(), more.end());
    return Assay(std::move(argv));
  }
  std::set<std::string> Findings() const {
    std::set<std::string> names;
    const json parsed = json::parse(out_);  // must live while its members are walked
    for (const auto& f : parsed["findings"])
      if (f["weight"] != "trusted") names.insert(f["name"].get<std::string>());
    return names;
  }
  json State() const { return json::parse(std::ifstream(dir_ + "/host.json")); }

  // This machine does not reboot with its TPM: the verifier shall have seen another boot, some time ago.
  void AsIfRebooted() {
    ResetTpm();
    json state = State();
    state["boot_id"] = "the boot before";
    state["clock"] = state["clock"].get<std::uint64_t>() + 60'000;  // of some time before the power was lost
    std::ofstream(dir_ + "/host.json") << state;
  }

  std::string out_, err_;
  std::unique_ptr<tpm::RunKey> run_key_;
  std::unique_ptr<attest::Collector> collector_;
  std::unique_ptr<attest::Server> server_;
};

TEST_F(AttestTest, RoundsGoOnFromTheState) {
  EXPECT_EQ(Attest({}), kExitOk) << out_ << err_;
  EXPECT_NE(out_.find("trusted"), std::string::npos);
  struct stat info{};
  ASSERT_EQ(stat((dir_ + "/host.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto records = State()["records"].get<int>();
  EXPECT_EQ(records, 5);
  Load("app/tool");
  EXPECT_EQ(Attest({"--json", "--entries"}), kExitOk) << out_ << err_;
  EXPECT_EQ(json::parse(out_)["entries"].size(), 1U);  // what is new, only
  EXPECT_EQ(State()["records"], records + 1);
  EXPECT_EQ(Attest({"--json", "--entries", "--full"}), kExitOk) << out_ << err_;
  EXPECT_EQ(json::parse(out_)["entries"].size(), 6U);
}

TEST_F(AttestTest, SavedRoundGivesTheSameVerdict) {
  EXPECT_EQ(Attest({}), kExitOk) << out_ << err_;
  Put("app/tool", "trojan");
  Load("app/tool");
  EXPECT_EQ(Attest({"--json", "--save", dir_ + "/round"}), kExitNotTrusted);
  EXPECT_EQ(Findings(), std::set<std::string>{"entry.changed"});
  json live = json::parse(out_);
  std::vector<std::string> appraise{"appraise",    dir_ + "/round",  "--policy", dir_ + "/policy.json",
                                    "--reference", dir_ + "/app.idx"};
  auto json_too = appraise;
  json_too.push_back("--json");
  EXPECT_EQ(Assay(json_too), kExitNotTrusted);
  json saved = json::parse(out_);
  for (json* one : {&live, &saved}) EXPECT_EQ(one->erase("time"), 1U);
  EXPECT_EQ(saved, live);
  // Only some findings; the exit code is that of all.
  json_too.insert(json_too.end(), {"--findings", "list"});
  EXPECT_EQ(Assay(json_too), kExitNotTrusted);
  EXPECT_TRUE(Findings().empty());
  EXPECT_THAT(WriteFileAtomic(dir_ + "/empty.bin", {}), IsOk());
  json_too.insert(json_too.end(), {"--list", dir_ + "/empty.bin"});
  EXPECT_EQ(Assay(json_too), kExitNotTrusted);
  EXPECT_EQ(Findings(), std::set<std::string>{"list.truncated"});
  EXPECT_EQ(Assay({"appraise", dir_}), kExitError);
}

TEST_F(AttestTest, ABetterReferenceCountsAtTheNextRound) {
  Load("app/tool");
  EXPECT_EQ(Attest({}), kExitOk) << out_ << err_;
  Put("app/tool", "tool, upgraded");
  Load("app/tool");
  EXPECT_EQ(Attest({"--json"}), kExitNotTrusted);
  EXPECT_EQ(Findings(), std::set<std::string>{"entry.changed"});
  // The index is built anew over the old one, whose version stays known.
  std::vector<std::string> build{"reference", "build",       "--out",          dir_ + "/app.idx",
                                 "--folder",  dir_ + "/app", "--package",      "app",
                                 "--version", "2.0",         "--no-byte-code", "--json"};
  EXPECT_EQ(Assay(build), kExitOk) << err_;
  EXPECT_EQ(json::parse(out_)["superseded"], 1);
  EXPECT_EQ(Attest({"--json"}), kExitOk) << out_ << err_;
  EXPECT_NE(out_.find("entry.outdated"), std::string::npos) << out_;
  EXPECT_EQ(Attest({"--json", "--entries"}), kExitOk) << out_ << err_;
  EXPECT_TRUE(json::parse(out_)["entries"].empty());  // asked for the whole list only once
  // What was good is revoked.
  build.insert(build.end(), {"--revoked", "app=2.0:a reason"});
  EXPECT_EQ(Assay(build), kExitOk) << err_;
  EXPECT_EQ(Attest({"--json"}), kExitNotTrusted);
  EXPECT_TRUE(Findings().contains("entry.revoked")) << out_;
}

TEST_F(AttestTest, TheOwnersWordCountsAtTheNextRound) {
  const PrivateKey owner = *PrivateKey::GenerateP256();
  Put("owner.key", owner.Pem());
  Put("owner.pub", owner.Public().Pem());
  Put("other.key", PrivateKey::GenerateP256()->Pem());
  Put("scripts/one", "script one");
  Put("scripts/two", "script two");
  Load("scripts/one");
  Load("scripts/two");
  EXPECT_EQ(Attest({"--json", "--save", dir_ + "/round"}), kExitNotTrusted);
  EXPECT_EQ(Findings(), std::set<std::string>{"entry.unknown"});
  Put("result.json", out_);
  const auto trust = [&](std::vector<std::string> argv, const std::string& key = "owner.key") {
    argv.insert(argv.end(), {"--trusted", dir_ + "/trusted.json", "--key", dir_ + "/" + key});
    return Assay(argv);
  };
  EXPECT_EQ(trust({"trust", dir_ + "/scripts/one"}), kExitUsage);  // no reason
  EXPECT_EQ(trust({"trust", dir_ + "/scripts/one", "--why", "ours", "--for", "soon"}), kExitUsage);
  EXPECT_EQ(trust({"trust", dir_ + "/scripts/one", "--why", "ours", "--for", "30d", "--who", "anna"}),
            kExitOk)
      << err_;
  EXPECT_EQ(trust({"trust", dir_ + "/scripts/two", "--why", "theirs"}, "other.key"), kExitError);
  const std::vector<std::string> with{"--json", "--trusted", dir_ + "/trusted.json", "--trusted-key",
                                      dir_ + "/owner.pub"};
  EXPECT_EQ(Attest({"--trusted", dir_ + "/trusted.json"}), kExitError);
  EXPECT_NE(err_.find("no key is named"), std::string::npos) << err_;
  EXPECT_EQ(Attest(with), kExitNotTrusted);  // the other one
  EXPECT_EQ(json::parse(out_)["findings"].dump().find("scripts/one"), std::string::npos) << out_;
  EXPECT_EQ(trust({"trust", "--from-findings", dir_ + "/result.json", "--match", "/**/two", "--why", "ours"}),
            kExitOk)
      << err_;
  EXPECT_EQ(Attest(with), kExitOk) << out_ << err_;
  EXPECT_NE(out_.find("policy.owner-trusted"), std::string::npos) << out_;
  EXPECT_EQ(Attest(with), kExitOk) << out_ << err_;
  EXPECT_EQ(trust({"untrust", dir_ + "/scripts/two"}), kExitOk) << err_;
  EXPECT_EQ(trust({"untrust", dir_ + "/scripts/two"}), kExitNotTrusted);
  EXPECT_EQ(Attest(with), kExitNotTrusted);
  EXPECT_EQ(Findings(), std::set<std::string>{"entry.unknown"});
  EXPECT_EQ(Assay({"trust", "--trusted", dir_ + "/trusted.json"}), kExitOk);
  EXPECT_NE(out_.find("ours, by anna"), std::string::npos) << out_;
  // What is known of it.
  EXPECT_EQ(
      Assay({"explain", dir_ + "/scripts/two", "--state", dir_ + "/host.json", "--save", dir_ + "/round",
             "--reference", dir_ + "/app.idx", "--states", dir_ + "/host*.json", "--json"}),
      kExitOk)
      << err_;
  const json known = json::parse(out_);
  EXPECT_EQ(known["standing"].size(), 1U) << out_;
  EXPECT_EQ(known["seen"].size(), 1U) << out_;
  EXPECT_EQ(known["seen"][0]["state"], "unknown");
  EXPECT_EQ(known["meaning"][0]["name"], "entry.unknown");
  EXPECT_EQ(Assay({"explain", known["seen"][0]["digest"].get<std::string>(), "--state", dir_ + "/host.json"}),
            kExitOk);
  EXPECT_NE(out_.find("standing"), std::string::npos) << out_;
  EXPECT_EQ(Assay({"explain", "entry.outdated"}), kExitOk);
  EXPECT_NE(out_.find("outdated_fails_after_days"), std::string::npos) << out_;
  EXPECT_EQ(Assay({"explain", "/no/such"}), kExitNotTrusted);
}

TEST_F(AttestTest, AfterARebootTheWholeListIsAsked) {
  Load("app/tool");
  EXPECT_EQ(Attest({}), kExitOk) << out_ << err_;
  StopAttester();
  AsIfRebooted();
  Start(1);  // a shorter list than the one that is known
  EXPECT_EQ(Attest({"--json"}), kExitOk) << out_ << err_;
  EXPECT_TRUE(json::parse(out_)["rebooted"].get<bool>());
  EXPECT_EQ(State()["records"], 5);
  EXPECT_EQ(server_->Callers()[0].refused, 1U) << "the attester did not have the records that were asked for";
  StopAttester();
  AsIfRebooted();
  Start(1);
  for (const char* file : {"app/tool", "app/other"}) Load(file);  // and a longer one
  EXPECT_EQ(Attest({"--json"}), kExitOk) << out_ << err_;
  EXPECT_EQ(State()["records"], 7);
}

// An attester that refuses each question with this reason until it is destroyed, and counts them.
class Refuser {
 public:
  Refuser(const std::string& path, evidence::RefusalCode code)
      : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    std::filesystem::remove(path);
    const Result<sockaddr_un> address = channel::UnixAddress(path);
    EXPECT_THAT(address, IsOk());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)), 0);
    EXPECT_EQ(listen(listener_.get(), 4), 0);
    thread_ = std::jthread([this, code](const std::stop_token& stop) { Serve(stop, code); });
  }
  int asked() const { return asked_; }

 private:
  void Serve(const std::stop_token& stop, evidence::RefusalCode code) {
    while (!stop.stop_requested()) {
      pollfd ready{listener_.get(), POLLIN, 0};
      if (poll(&ready, 1, 20) != 1) continue;
      const UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      channel::Deadline deadline(std::chrono::seconds{20});
      EXPECT_THAT(channel::ReceiveFrame(
                      [&](std::span<std::uint8_t> out) { return channel::Recv(peer.get(), out, deadline); },
                      evidence::kMaxChallenge),
                  IsOk());
      ++asked_;
      EXPECT_THAT(channel::SendAll(peer.get(), evidence::EncodeRefusal({code, "for the test"}), deadline),
                  IsOk());
    }
  }
  UniqueFd listener_;
  std::atomic<int> asked_ = 0;
  std::jthread thread_;
};

TEST_F(AttestTest, OnlyAShorterListIsAskedForAgain) {
  EXPECT_EQ(Attest({}), kExitOk) << out_ << err_;
  StopAttester();
  for (const auto& [code, questions] :
       {std::pair(evidence::RefusalCode::kBusy, 1), std::pair(evidence::RefusalCode::kBadRequest, 2)}) {
    const Refuser refuser(Socket(), code);
    EXPECT_NE(Attest({}), kExitOk);
    EXPECT_EQ(refuser.asked(), questions) << err_;
  }
}

// With Secure Boot the kernel's IMA has PCR 10 on some machines.
TEST_F(AttestTest, TheListOfTheOwnMachineMayBeInAnotherPcr) {
  StopAttester();
  ResetTpm();
  recorder_options_.pcr = 13;
  recorder_options_.dir = dir_ + "/list-13";
  Start(1);
  Target target;
  target.references = {dir_ + "/app.idx"};
  target.own_policy = true;
  target.address.unix_path = Socket();
  const auto other_pcr = [&] {
    const Result<RoundResult> asked = AttestOnce(target, [](const std::string&) {});
    EXPECT_THAT(asked, IsOk());
    return !asked ||
           std::any_of(asked->appraisal.findings.begin(), asked->appraisal.findings.end(),
                       [](const auto& f) { return f.name == appraise::FindingName::kQuoteOtherPcr; });
  };
  EXPECT_FALSE(other_pcr());
  target.own_policy = false;
  EXPECT_TRUE(other_pcr()) << "another machine's PCR is named in the policy";
}

TEST_F(AttestTest, SignedResult) {
  const PrivateKey key = *PrivateKey::GenerateP256();
  Put("ear.key", key.Pem());
  Put("ear.pub", key.Public().Pem());
  Put("other.pub", PrivateKey::GenerateP256()->Public().Pem());
  EXPECT_EQ(Attest({"--ear-key", dir_ + "/ear.key", "--ear-out", dir_ + "/ear.jwt"}), kExitOk)
      << out_ << err_;
  std::vector<std::string> verify{"result", "verify", dir_ + "/ear.jwt", "--key", dir_ + "/ear.pub"};
  EXPECT_EQ(Assay({"result", "verify", dir_ + "/ear.jwt", "--key", dir_ + "/ear.pub", "--affirming"}),
            kExitUnknown)
      << "nothing proves that it reaches back to the boot";
  EXPECT_EQ(Assay(verify), kExitOk) << out_ << err_;
  auto other = verify;
  other.back() = dir_ + "/other.pub";
  EXPECT_EQ(Assay(other), kExitError);
  verify.insert(verify.end(), {"--nonce", std::string(64, '0')});
  EXPECT_EQ(Assay(verify), kExitUnknown);
  Load("app/tool");
  Put("app/other", "trojan");
  Load("app/other");
  EXPECT_EQ(Attest({"--ear-key", dir_ + "/ear.key", "--ear-out", dir_ + "/ear.jwt"}), kExitNotTrusted);
  EXPECT_EQ(Assay({"result", "verify", dir_ + "/ear.jwt", "--key", dir_ + "/ear.pub"}), kExitNotTrusted);
}

TEST_F(AttestTest, EnrolledHostsOnly) {
  Put("strict.json", R"({"allow_software_tpm": true})");
  std::vector<std::string> attest{
      "attest",      "--unix",          Socket(),  "--policy",          dir_ + "/strict.json",
      "--reference", dir_ + "/app.idx", "--state", dir_ + "/host.json", "--json"};
  EXPECT_EQ(Assay(attest), kExitNotTrusted);
  EXPECT_TRUE(Findings().contains("ak.unknown")) << out_;
  std::filesystem::create_directories(dir_ + "/roots");
  for (const char* file : {tpm::SoftwareTpm::kCaRoot, tpm::SoftwareTpm::kCaIssuer})
    std::filesystem::copy(dir_ + "/ca/" + file, dir_ + "/roots/" + file);
  std::vector<std::string> enrol{
      "enrol", "--unix", Socket(), "--policy", dir_ + "/strict.json", "--state", dir_ + "/enrolled.json",
      "--json"};
  EXPECT_EQ(Assay(enrol), kExitNotTrusted);  // without roots nobody vouches
  EXPECT_EQ(Findings(), std::set<std::string>{"ek.not-vouched"});
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/enrolled.json"));
  enrol.insert(enrol.end(), {"--roots", dir_ + "/roots"});
  EXPECT_EQ(Assay(enrol), kExitOk) << out_ << err_;
  EXPECT_EQ(json::parse(out_)["identity"], "certificate");
  EXPECT_EQ(json::parse(out_)["tpm"]["model"], "swtpm");
  attest[8] = dir_ + "/enrolled.json";
  EXPECT_EQ(Assay(attest), kExitOk) << out_ << err_;
  EXPECT_EQ(json::parse(out_)["identity"], "certificate");
  EXPECT_TRUE(json::parse(out_)["software_tpm"].get<bool>());
  EXPECT_EQ(Assay(enrol), kExitOk);  // the same keys
  EXPECT_EQ(json::parse(std::ifstream(dir_ + "/enrolled.json"))["rounds"], 1);
  // Another TPM behind the same socket.
  StopAttester();
  machine_.Stop();
  std::filesystem::remove_all(dir_ + "/state");
  ASSERT_NO_FATAL_FAILURE(machine_.Start());
  machine_.Connect();
  Start(1);
  EXPECT_EQ(Assay(enrol), kExitNotTrusted);
  EXPECT_EQ(Findings(), (std::set<std::string>{"ak.changed", "ek.changed"}));
  EXPECT_EQ(Assay(attest), kExitNotTrusted);
  EXPECT_TRUE(Findings().contains("ek.changed"));
  enrol.emplace_back("--again");
  EXPECT_EQ(Assay(enrol), kExitOk) << out_ << err_;
  EXPECT_EQ(Assay(attest), kExitOk) << out_ << err_;
}

TEST_F(AttestTest, EnrolmentUsageAndErrors) {
  const std::string state = dir_ + "/enrolled.json";
  EXPECT_EQ(Assay({"enrol", "--state", state}), kExitUsage);
  EXPECT_EQ(Assay({"enrol", "--unix", Socket()}), kExitUsage);
  EXPECT_EQ(Assay({"enrol", "--unix", "/no/such.sock", "--state", state}), kExitError);
  std::vector<std::string> enrol{"enrol", "--unix", Socket(), "--state", state, "--roots"};
  const auto with = [&](const std::string& roots) {
    auto argv = enrol;
    argv.push_back(roots);
    return Assay(argv);
  };
  EXPECT_EQ(with("/no/such"), kExitError);
  EXPECT_EQ(with(dir_ + "/policy.json"), kExitError);  // no certificate
  std::filesystem::create_directories(dir_ + "/empty");
  EXPECT_EQ(with(dir_ + "/empty"), kExitUsage);
  EXPECT_EQ(with(dir_ + "/ca/" + tpm::SoftwareTpm::kCaIssuer), kExitUsage);  // a link, no root
  EXPECT_EQ(with(dir_ + "/ca/" + tpm::SoftwareTpm::kCaRoot), kExitNotTrusted);
  EXPECT_NE(out_.find("ek.untrusted-chain"), std::string::npos) << out_;
  EXPECT_FALSE(std::filesystem::exists(state));
}

TEST_F(AttestTest, WrongUsageAndErrors) {
  EXPECT_EQ(Assay({"attest", "--tls", "localhost:1"}), kExitUsage);
  EXPECT_EQ(Assay({"attest", "--unix", "/no/such.sock"}), kExitError);
  EXPECT_NE(err_.find("asking the attester at /no/such.sock"), std::string::npos) << err_;
  EXPECT_EQ(Attest({"--selection", "sha256:x"}), kExitUsage);
  EXPECT_EQ(Attest({"--reference", "/no/such.idx"}), kExitError);
  Put("host.json", "{}");
  EXPECT_EQ(Attest({}), kExitError);
  EXPECT_NE(err_.find("host.json"), std::string::npos) << err_;
}

}  // namespace
}  // namespace assay::cli
