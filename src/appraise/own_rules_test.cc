// What the attester says of itself and of what it measures: whatever leaves something unseen is named.
#include <nlohmann/json.hpp>

#include "appraise/rules_fixture.h"
#include "appraise/synthetic_boot.h"
#include "measure/system/bpf_entry.h"
#include "measure/system/byte_code.h"
#include "measure/system/violation_record.h"

namespace assay::appraise {
namespace {

using nlohmann::json;

class OwnRulesTest : public RulesTest {
 protected:
  // The host as if it had measured so from the start.
  SyntheticHost With(const json& measuring) const {
    SyntheticHost host = host_;
    std::vector<Bytes> records = host_.records;
    const std::string text = measuring.dump();
    const Bytes data = ima::EncodeBuf(DigestOf(text), "assay-policy", AsBytes(text));
    records[3] = ima::EncodeRecord(10, DigestOf(""), "ima-buf", data);
    host.RecordAgain(records);
    return host;
  }
  Appraisal JudgeWith(const json& measuring) const {
    const SyntheticHost host = With(measuring);
    return Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host_, policy_);
  }
  static json But(const char* section, const char* member, const json& value) {
    json j = Measuring();
    j[section][member] = value;
    return j;
  }
};

// --- What is measured

TEST_F(OwnRulesTest, RulesThatMeasureLess) {
  const std::string usual = Measuring()["engine"]["rules"];
  ExpectOnly(JudgeWith(Measuring()), {});
  ExpectOnly(JudgeWith(But("engine", "rules", usual + "dont_measure path=/x\n")), {});
  ExpectOnly(JudgeWith(But("engine", "rules", "measure\n")), {});
  for (const std::string& rules : {std::string("measure func=POLICY_CHECK\n"),
                                   "dont_measure path=/x\n" + usual, std::string("appraise\n")})
    ExpectOnly(JudgeWith(But("engine", "rules", rules)), {"own.measures-less"});
  ExpectOnly(JudgeWith(But("engine", "rules", "nonsense\n")), {"own.malformed"});
  for (const char* name : {"exec", "tcb"}) {
    const json less = But("engine", "rules", *measure::Policy::BuiltIn(name));
    policy_.measures_at_least = "default";
    ExpectOnly(JudgeWith(less), {"own.measures-less"});
    policy_.measures_at_least = name;
    ExpectOnly(JudgeWith(less), {});
  }
}

// Root, with a shell: `echo 'measure func=POLICY_CHECK' > /run/assay/policy`, and then anything.
TEST_F(OwnRulesTest, APolicyThatIsLoadedLater) {
  host_.Own("assay-policy", MeasuringPolicy());
  ExpectOnly(Judge(), {});  // the same again
  state_ = Judge().host;
  host_.Own("assay-policy", But("engine", "rules", "measure\n").dump());
  ExpectOnly(Next(), {"own.policy-changed"});
  host_.Own("assay-policy", But("engine", "rules", "measure func=POLICY_CHECK\n").dump());
  state_ = {};
  ExpectStays({"own.policy-changed", "own.measures-less"});
  host_.Own("assay-policy", MeasuringPolicy());  // put back: what ran between was not seen
  state_ = {};
  ExpectStays({"own.policy-changed", "own.measures-less"});
}

// The owner switches the guard on and reloads: nothing is measured less. Off again, root may reach the
// attester.
TEST_F(OwnRulesTest, AGuardThatIsSwitchedOn) {
  host_.Own("assay-policy", But("engine", "guard", true).dump());
  ExpectOnly(Judge(), {});
  state_ = Judge().host;
  host_.Own("assay-policy", MeasuringPolicy());
  ExpectOnly(Next(), {"own.policy-changed"});
  state_ = {};
  json both = But("engine", "guard", true);
  both["engine"]["expiry"] = "refuse";
  host_.Own("assay-policy", both.dump());
  ExpectStays({"own.policy-changed"});
}

TEST_F(OwnRulesTest, PoliciesThatAreAcceptedByDigest) {
  const json less = But("engine", "rules", "measure func=BPRM_CHECK\n");
  host_.Own("assay-policy", less.dump());
  policy_.attester_policies = {DigestOf(less.dump()).ToString()};
  ExpectOnly(Judge(), {"own.policy"});  // the first one is not listed
  policy_.attester_policies.insert(DigestOf(MeasuringPolicy()).ToString());
  ExpectOnly(Judge(), {});
}

TEST_F(OwnRulesTest, MountsThatAreNotTheWholeScope) {
  ExpectOnly(JudgeWith(But("engine", "mounts", {"/usr"})), {"own.mounts"});
  ExpectOnly(JudgeWith(But("engine", "mounts", json::array())), {"own.mounts"});
  ExpectOnly(JudgeWith(But("engine", "mounts", {"/usr", "/"})), {});
  host_.Own("assay-engine", R"({"engine":"fanotify","scope":"host","mounts":["/opt"]})");
  ExpectStays({"own.mounts"});
}

TEST_F(OwnRulesTest, OptionsThatOpenAWindow) {
  ExpectOnly(JudgeWith(But("engine", "deadline_ms", 600'000)), {"own.options"});
  json held = But("engine", "deadline_ms", 600'000);
  held["engine"]["expiry"] = "refuse";
  ExpectOnly(JudgeWith(held), {});
  ExpectOnly(JudgeWith(But("engine", "extensions", json::array())), {"own.options"});
  ExpectOnly(JudgeWith(But("record", "max_records", 100)), {"own.options"});
  ExpectOnly(JudgeWith(But("record", "pcr", 11)), {"own.options"});
  ExpectOnly(JudgeWith(But("record", "synchronous", true)), {});
  const json slow = But("record", "group_ms", 10'000);
  ExpectOnly(JudgeWith(slow), {"own.options"});
  policy_.max_group_ms = 10'000;
  ExpectOnly(JudgeWith(slow), {});
}

// An interpreter that was started around its hook: a note, unless the policy demands the hook.
TEST_F(OwnRulesTest, AnInterpreterStartedWithoutItsHook) {
  host_.Own(
      "assay-uninstrumented",
      json{{"path", "/tmp/copy"}, {"digest", DigestOf("python").ToString()}, {"hook", "python"}}.dump());
  ExpectInfo(Judge(), "entry.uninstrumented");
}

TEST_F(OwnRulesTest, AnAttesterThatDoesNotLookHowInterpretersAreStarted) {
  policy_.instrumented = {"/usr/bin/python3.11"};
  ExpectOnly(JudgeWith(But("engine", "instrumented", {{"/usr/bin/python3.11", "python"}})), {});
  ExpectOnly(JudgeWith(Measuring()), {"entry.uninstrumented"});
}

TEST_F(OwnRulesTest, ItWeighsIfThePolicyDemandsTheHook) {
  policy_.instrumented = {"/usr/bin/python3.11"};
  policy_.attester_policies = {DigestOf(MeasuringPolicy()).ToString()};
  host_.Own("assay-uninstrumented", R"({"hook":"python","path":"/usr/bin/python3.11","said":"perl"})");
  ExpectStays({"entry.uninstrumented"});
}

TEST_F(OwnRulesTest, AStartWithoutAPathIsNoRecord) {
  host_.Own("assay-uninstrumented", R"({"hook":"python"})");
  ExpectStays({"own.malformed"});
}

// What a later version says may open a window as well.
TEST_F(OwnRulesTest, OptionsThatAreNotKnown) {
  ExpectOnly(JudgeWith(But("engine", "skip", true)), {"own.malformed"});
  ExpectOnly(JudgeWith(But("record", "skip", true)), {"own.malformed"});
  ExpectOnly(JudgeWith({{"engine", json::object()}, {"record", json::object()}}), {"own.malformed"});
}

// --- Groups

TEST_F(OwnRulesTest, ManifestsAreTheVerifiersToAccept) {
  const Digest digest = DigestOf("an index");
  const PrivateKey owner = *PrivateKey::GenerateP256();
  const auto base64 = [](const PrivateKey& key) { return Base64(key.Public().Der()); };
  host_.Own("assay-manifest", json{{"sha256", digest.hex()},
                                   {"signature", Base64(*owner.SignEs256(digest.view()))},
                                   {"key", base64(owner)}}
                                  .dump());
  ExpectOnly(Judge(), {"own.manifest"});
  policy_.manifest_keys = {base64(*PrivateKey::GenerateP256())};
  ExpectOnly(Judge(), {"own.manifest"});
  policy_.manifest_keys.push_back(base64(owner));
  ExpectOnly(Judge(), {});
  policy_.manifest_keys.clear();
  policy_.attester_manifests = {digest.ToString()};
  ExpectOnly(Judge(), {});
  policy_.attester_manifests = {DigestOf("another").ToString()};
  ExpectStays({"own.manifest"});
  // Without a signature, or with one that is none.
  policy_.manifest_keys = {base64(owner)};
  state_ = {};
  host_.Own("assay-manifest", json{{"sha256", digest.hex()}}.dump());
  ExpectOnly(Judge(), {"own.manifest"});
  host_.Own("assay-manifest", json{{"sha256", digest.hex()}, {"signature", "AAAA"}}.dump());
  ExpectOnly(Judge(), {"own.manifest"});
}

TEST_F(OwnRulesTest, ContentOfAGroupThatIsRevokedSince) {
  host_.Know("old", "/usr/bin/old");
  host_.Group(
      {ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p1"), ima::EncodeNg(DigestOf("old"), "/usr/bin/old")});
  const Appraisal before = Judge();
  ExpectOnly(before, {});
  state_ = before.host;
  host_.Know("old", "/usr/bin/old", Standing::kRevoked);
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.revoked"});
  EXPECT_EQ(a.findings.back().sub, 1U);
}

// --- Kexec

TEST_F(OwnRulesTest, AKexecAlwaysWeighs) {
  host_.Know("kernel", "/boot/vmlinuz");
  host_.File("kernel", "/boot/vmlinuz");
  ExpectOnly(Judge(), {});
  host_.Own(
      "assay-kexec",
      json{{"hook", "kexec"}, {"path", "/boot/vmlinuz"}, {"digest", DigestOf("kernel").ToString()}}.dump());
  ExpectStays({"entry.kexec"});
}

TEST_F(OwnRulesTest, SoDoesOneInTheKernelsList) {
  policy_.require_attester_records = false;
  policy_.allowed = {DigestOf("quiet").ToString()};
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("quiet"), "kexec-cmdline", AsBytes("quiet")));
  ExpectStays({"entry.kexec"});
}

// --- Violations

class ViolationTest : public OwnRulesTest {
 protected:
  void Violation() {
    host_.Extend("ima-ng", ima::EncodeNg(Digest::Filled(HashAlg::kSha256, 0), kPath), true);
  }
  void Beside(const std::string& kind, const std::string& path = kPath) {
    host_.Own("assay-violation", measure::EncodeViolation({kind, path, DigestOf("java")}));
  }
  ViolationTest() { policy_.allowed_violations[DigestOf("java").ToString()] = {"anonymous_code"}; }
  static constexpr const char* kPath = "anonymous_code:/usr/bin/java";
};

TEST_F(ViolationTest, OfAProgramThatMay) {
  Violation();
  Beside("anonymous_code");
  Violation();
  Beside("anonymous_code");
  const Appraisal a = Judge();
  ExpectInfo(a, "policy.violations-allowed");
  EXPECT_EQ(a.counts.at(EntryState::kViolation), 2U);
  policy_.allowed_violations.clear();
  ExpectStays({"entry.violation"});
}

// The reference values, too, say what a program of a package is made to do.
TEST_F(ViolationTest, OfAPackagesProgram) {
  policy_.allowed_violations.clear();
  host_.Know("java", "/usr/bin/java");
  host_.Allow("java", {"anonymous_code"});
  Violation();
  Beside("anonymous_code");
  const Appraisal a = Judge();
  ExpectInfo(a, "policy.package-violations");
  EXPECT_EQ(a.counts.at(EntryState::kViolation), 1U);
  policy_.package_violations = false;
  ExpectStays({"entry.violation"});
}

TEST_F(ViolationTest, OfAPackagesProgramThatMayDoAnother) {
  policy_.allowed_violations.clear();
  host_.Know("java", "/usr/bin/java");
  host_.Allow("java", {"raw_device"});
  Violation();
  Beside("anonymous_code");
  ExpectStays({"entry.violation"});
}

TEST_F(ViolationTest, OfARevokedProgram) {
  policy_.allowed_violations.clear();
  host_.Know("java", "/usr/bin/java", Standing::kRevoked);
  host_.Allow("java", {"anonymous_code"});
  Violation();
  Beside("anonymous_code");
  ExpectStays({"entry.violation"});
}

// --- Byte code

class ByteCodeTest : public OwnRulesTest {
 protected:
  ByteCodeTest() { host_.Know("code", "/usr/lib/python3/__pycache__/m.cpython-311.pyc"); }
  void Beside(std::string_view code = "code", std::string_view content = "here",
              const std::string& path = kPath) {
    host_.Own(measure::kByteCodeRecord, measure::EncodeByteCode({path, DigestOf(content), DigestOf(code)}));
  }
  static constexpr const char* kPath = "/venv/__pycache__/m.cpython-311.pyc";
};

TEST_F(ByteCodeTest, OfAPackagedSourceIsKnownElsewhere) {
  host_.File("here", kPath);
  ExpectStays({"entry.unknown"});
  state_ = {};
  Beside();
  ExpectOnly(Judge(), {});
}

TEST_F(ByteCodeTest, OfAnotherSourceIsNot) {
  host_.File("here", kPath);
  Beside("forged");
  ExpectStays({"entry.unknown"});
  host_.Know("forged", "/usr/lib/python3/__pycache__/n.cpython-311.pyc");
  host_.fingerprint = "better";
  ExpectOnly(Next(), {"list.judged-otherwise"});  // what stands is judged by its code, too
}

TEST_F(ByteCodeTest, OfAPackageAtThePathOfAnother) {
  host_.Know("other", kPath);
  host_.File("here", kPath);
  Beside();
  ExpectStays({"entry.swapped"});
}

TEST_F(ByteCodeTest, BelongsToTheEntryBeforeItAlone) {
  host_.File("here", kPath);
  Beside("code", "there");
  ExpectStays({"entry.unknown", "own.malformed"});
}
TEST_F(ByteCodeTest, BelongsToItsPathAlone) {
  host_.File("here", kPath);
  Beside("code", "here", "/elsewhere");
  ExpectStays({"entry.unknown", "own.malformed"});
}
TEST_F(ByteCodeTest, BelongsToOneEntry) {
  host_.File("here", kPath);
  Beside();
  Beside();
  ExpectStays({"own.malformed"});
}

// --- BPF programs

class BpfProgramTest : public OwnRulesTest {
 protected:
  BpfProgramTest() { host_.Know("manager", "/usr/lib/systemd/systemd"); }
  void Loaded(const std::string& by) {
    host_.File("instructions", measure::BpfEntryName("sd_devices", DigestOf(by)));
  }
};

TEST_F(BpfProgramTest, OfALoaderThatMakesThem) {
  host_.Allow("manager", {"bpf_program"});
  Loaded("manager");
  const Appraisal a = Judge();
  ExpectInfo(a, "policy.package-bpf");
  policy_.package_violations = false;
  ExpectStays({"entry.unknown"});
  policy_.allowed_violations[DigestOf("manager").ToString()] = {"bpf_program"};
  ExpectInfo(Judge(), "policy.package-bpf");
}

TEST_F(BpfProgramTest, OfOtherLoaders) {
  host_.Allow("other", {"bpf_program"});  // but in no package
  Loaded("other");
  ExpectStays({"entry.unknown"});
}

TEST_F(BpfProgramTest, OfAProgramThatMayDoAnotherThing) {
  host_.Allow("manager", {"raw_device"});
  Loaded("manager");
  ExpectStays({"entry.unknown"});
}

TEST_F(BpfProgramTest, OfARevokedLoader) {
  host_.Know("old manager", "/usr/lib/systemd/systemd", Standing::kRevoked);
  host_.Allow("old manager", {"bpf_program"});
  Loaded("old manager");
  ExpectStays({"entry.unknown"});
}

TEST_F(BpfProgramTest, WithoutALoader) {
  host_.Allow("manager", {"bpf_program"});
  host_.File("instructions", "bpf-prog:sd_devices");
  ExpectStays({"entry.unknown"});
}

TEST_F(ViolationTest, OfAnotherKind) {
  Violation();
  Beside("writable_code");
  ExpectStays({"entry.violation"});
}

TEST_F(ViolationTest, OfAnotherProgram) {
  policy_.allowed_violations = {{DigestOf("other").ToString(), {"anonymous_code"}}};
  Violation();
  Beside("anonymous_code");
  ExpectStays({"entry.violation"});
}

// One record beside is for one violation, which stands right before it.
TEST_F(ViolationTest, PairedExactly) {
  Violation();
  Violation();
  Beside("anonymous_code");
  ExpectStays({"entry.violation"});
}
TEST_F(ViolationTest, PairedWithTwo) {
  Violation();
  Beside("anonymous_code");
  Beside("anonymous_code");
  ExpectStays({"own.malformed"});
}
TEST_F(ViolationTest, OfAnotherPath) {
  Violation();
  Beside("anonymous_code", "anonymous_code:/usr/bin/other");
  ExpectStays({"entry.violation", "own.malformed"});
}
TEST_F(ViolationTest, WithSomethingBetween) {
  Violation();
  host_.File("content 1", "/usr/bin/p1");
  Beside("anonymous_code");
  ExpectStays({"entry.violation", "own.malformed"});
}
TEST_F(ViolationTest, UnderAnothersDigest) {
  Violation();
  const std::string text = measure::EncodeViolation({"anonymous_code", kPath, DigestOf("java")});
  host_.Extend("ima-buf", ima::EncodeBuf(DigestOf("x"), "assay-violation", AsBytes(text)));
  ExpectStays({"entry.violation", "own.malformed"});
}

TEST_F(ViolationTest, InAGroupNobodyVouches) {
  host_.Group({ima::EncodeNg(Digest::Filled(HashAlg::kSha256, 0), kPath)});
  Beside("anonymous_code");
  ExpectStays({"entry.violation", "own.malformed"});
}

// --- How far the verdict reaches

class ReachTest : public OwnRulesTest {
 protected:
  Appraisal Of(const SyntheticHost& host, bool expected) {
    evidence::Evidence e =
        host.Quote(nonce_, 0, [](evidence::Claims& c) { c.started_ms = 1'764'021'600'000; });
    e.event_log = boot_.log;
    std::vector<boot::ExpectedBoot> boots;
    if (expected) boots.push_back(boot_.expected);
    return Appraise(host.Ask(e, nonce_), state_, host, policy_, boots);
  }
  MeasuredBoot boot_ = MeasureBoot();
  SyntheticHost early_{boot_.pcrs, true}, late_{boot_.pcrs, false};
};

TEST_F(ReachTest, IsInTheFirstLineAndInTheResult) {
  const auto expect = [&](const Appraisal& a, Reach reach, const std::string& text, int status) {
    ExpectOnly(a, {});
    EXPECT_EQ(a.reach, reach);
    const std::string lines = Describe(a, true, false);
    EXPECT_NE(lines.substr(0, lines.find('\n')).find("trusted, " + text), std::string::npos) << lines;
    EXPECT_EQ(ToJson(a, false)["reach"]["from"], ReachName(reach));
    const PrivateKey key = *PrivateKey::GenerateP256();
    const EarContext context{.host = "h", .verifier_build = "assay", .nonce = nonce_, .now_ms = 1};
    const json ear = json::parse(*VerifyEar(*SignEar(a, context, key), key.Public()));
    EXPECT_EQ(ear["submods"]["h"]["ear.status"], status);
    EXPECT_EQ(ear["submods"]["h"]["ear.trustworthiness-vector"]["executables"], status);
    EXPECT_EQ(ear["submods"]["h"]["assay.reach"]["text"], text);
  };
  expect(Of(early_, true), Reach::kBoot, "since boot", 2);
  expect(Of(late_, true), Reach::kStart, "since 2025-11-24T22:00:00.000Z", 32);
  expect(Of(early_, false), Reach::kStart, "since 2025-11-24T22:00:00.000Z", 32);
  SyntheticHost narrow = early_;
  narrow.Own("assay-engine", R"({"engine":"fanotify","scope":"namespace","mounts":["/"]})");
  expect(Of(narrow, true), Reach::kNamespace, "namespace", 32);
  policy_.require_attester_records = false;
  SyntheticHost bare = early_;
  bare.RecordAgain({early_.records[0]});
  expect(Of(bare, true), Reach::kUnknown, "reach unknown", 32);
}

TEST_F(ReachTest, EndsWithARestart) {
  policy_.allow_gaps = true;
  early_.Start(2, R"("/usr/sbin/assayd")", 0, true);
  EXPECT_EQ(Of(early_, true).reach, Reach::kStart);
}

TEST_F(ReachTest, IsTheBootsOnlyIfThatWasExpected) {
  boot_.expected = {};
  EXPECT_NE(Of(early_, true).reach, Reach::kBoot);
}

TEST_F(ReachTest, CanBeDemanded) {
  policy_.require_reach = Reach::kBoot;
  ExpectOnly(Of(early_, true), {});
  ExpectOnly(Of(early_, false), {"own.reach"});
  ExpectOnly(Of(late_, true), {"own.reach"});
  policy_.require_reach = Reach::kStart;
  ExpectOnly(Of(late_, false), {});
}

TEST_F(ReachTest, AnEarlyStartIsProvenByTheBootOnly) {
  policy_.require_early_start = true;
  ExpectOnly(Of(early_, true), {});
  const Appraisal a = Of(early_, false);
  ExpectOnly(a, {"own.early-unproven"});
  EXPECT_EQ(a.verdict, Verdict::kUnknown);
  ExpectOnly(Of(late_, true), {"own.late-engine"});
}

// --- Names

// A template's name is not in its hash.
TEST_F(OwnRulesTest, TemplatesAreThoseOfTheList) {
  host_.File("content 1", "/usr/bin/p2");  // another file's content
  ExpectOnly(Judge(), {"entry.swapped"});
  for (const char* name : {"d-ng|cgpath", "d-ng|sig", "d-ng|n-ng", "d-ng|xattrnames"}) {
    SyntheticHost host = host_;
    const Bytes data = ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p2");
    host.records.back() =
        ima::EncodeRecord(10, ima::TemplateDigest(HashAlg::kSha256, name, data), name, data);
    ExpectOnly(Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host, policy_), {"entry.malformed"});
  }
  // The control group, too, can't be hidden.
  host_.RecordAgain(std::vector<Bytes>(host_.records.begin(), host_.records.end() - 1));
  const Bytes data = ima::EncodeNgCgroup(DigestOf("content 1"), "/tmp/x", "/system.slice/x.service");
  host_.Extend("ima-sig", data);
  ExpectStays({"entry.malformed"});
}

TEST_F(OwnRulesTest, TheKernelsListHasTheKernelsTemplates) {
  SyntheticHost host = host_;
  host.RecordAgain({host_.records[0], host_.records[5]});
  Writer w;
  const Bytes ng = ima::EncodeNg(DigestOf("content 1"), "/usr/bin/p1");
  host.Extend("ima-sig", w.Put(ng).U32Le(0).Take());
  policy_.require_attester_records = false;
  const auto judge = [&] { return Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host, policy_); };
  ExpectOnly(judge(), {});
  host.File("content 1", "/usr/bin/p1", "/x");
  ExpectOnly(judge(), {"entry.malformed"});
}

TEST_F(OwnRulesTest, ContentWithoutAName) {
  host_.File("content 1", "");
  ExpectStays({"entry.malformed"});
}

// A user in a user namespace names a file as he likes; what a service runs must stand in its place.
TEST_F(OwnRulesTest, ServicesRunWhatStandsInItsPlace) {
  const auto file = [&](const char* cgroup) {
    SyntheticHost host = host_;
    host.File("content 1", "/opt/moved", cgroup);
    return Appraise(host.Ask(host.Quote(nonce_), nonce_), state_, host, policy_);
  };
  const std::string container = "/system.slice/docker-" + std::string(64, 'a') + ".scope/web.service";
  for (const char* cgroup : {"", "/user.slice/user-1000.slice/session-1.scope",
                             "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
                             "/init.scope", container.c_str()})
    ExpectOnly(file(cgroup), {});
  for (const char* cgroup : {"/system.slice/web.service", "/system.slice/web.service/worker",
                             "/one.slice/two.slice/web.service"}) {
    const Appraisal a = file(cgroup);
    ExpectOnly(a, {"entry.misplaced"});
    EXPECT_NE(a.findings.back().text.find("web.service (as its record says)"), std::string::npos);
  }
  host_.File("content 1", "/usr/bin/p1", "/system.slice/web.service");
  host_.Know("content 1", "/opt/copy");
  host_.File("content 1", "/opt/copy", "/system.slice/web.service");
  ExpectOnly(Judge(), {});
  // Without a group in the record, the context says which.
  host_.File("content 2", "/opt/two");
  evidence::ContextEntry line{.index = host_.records.size() - 1, .comm = "sh", .hook = "exec"};
  line.cgroup = "/system.slice/web.service";
  host_.context = evidence::EncodeContextLine(line);
  const Appraisal a = Judge();
  ExpectOnly(a, {"entry.misplaced"});
  EXPECT_NE(a.findings.back().text.find("as the attester says"), std::string::npos);
}

}  // namespace
}  // namespace assay::appraise
