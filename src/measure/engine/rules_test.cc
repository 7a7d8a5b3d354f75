// What the rules make of one use of one file: what is measured, what is refused, and for how long that
// stands.
#include "measure/engine/rules.h"

#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <string>

#include "base/fd.h"
#include "base/result_testing.h"

namespace assay::measure {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::shared_ptr<const Policy> PolicyOf(std::string_view text) {
  return std::make_shared<const Policy>(*Policy::Parse(Policy::BuiltIn(text).value_or(text)));
}

Digest DigestOf(std::string_view content) { return Hash(HashAlg::kSha256, AsBytes(content)); }

// An ELF file of a kind, with one section for names, which are these.
std::string Elf(std::uint16_t type, std::string_view names) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = type;
  header.e_shoff = sizeof(header);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 1;
  Elf64_Shdr section{};
  section.sh_offset = sizeof(header) + sizeof(section);
  section.sh_size = names.size();
  std::string out(reinterpret_cast<const char*>(&header), sizeof(header));
  out.append(reinterpret_cast<const char*>(&section), sizeof(section));
  return out.append(names);
}

struct Kind {
  std::string name, path, content;
};
const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds{
      {"program", "/t/tool", Elf(ET_DYN, ".text")},
      {"object", "/t/tool.o", Elf(ET_REL, ".text")},
      {"module", "/t/tool.ko", Elf(ET_REL, ".gnu.linkonce.this_module")},
      {"script", "/t/tool", "#!/bin/sh\n"},
      {"code.py", "/t/tool.py", "x = 1\n"},
      {"data", "/t/tool.conf", "x\n"},
      {"buffer", "", ""},  // no file: a BPF program, a buffer of the kernel's
  };
  return kinds;
}

// A use that an engine may ask about: its hook, and by whom the file is opened.
struct Column {
  std::string name;
  Hook hook;
  std::optional<Interpreter> opener{};
};
const std::vector<Column>& Columns() {
  static const std::vector<Column> columns{
      {"exec", {Func::kBprmCheck, kMayExec}},
      {"mmap", {Func::kMmapCheck, kMayExec}},
      {"sh", {Func::kFileCheck, kMayRead}, Interpreter::kShell},
      {"py", {Func::kFileCheck, kMayRead}, Interpreter::kPython},
      {"tar", {Func::kFileCheck, kMayRead}, Interpreter::kNone},
      {"gone", {Func::kFileCheck, kMayRead}, Interpreter::kUnknown},
      {"rdwr", {Func::kFileCheck, kMayRead | kMayWrite}, Interpreter::kShell},
      {"write", {Func::kFileCheck, kMayWrite}, Interpreter::kShell},
      {"module", {Func::kModuleCheck, kMayRead}},
      {"firmware", {Func::kFirmwareCheck, kMayRead}},
      {"kexec", {Func::kKexecKernelCheck, kMayRead}},
      {"initramfs", {Func::kKexecInitramfsCheck, kMayRead}},
      {"policy", {Func::kPolicyCheck, kMayRead}},
      {"bpf", {Func::kBpfCheck, kMayRead}},
  };
  return columns;
}

class RulesTest : public ::testing::Test {
 protected:
  // The kind's content as an open file; -1 where it is none.
  int Fd(const Kind& kind) {
    if (kind.path.empty()) return -1;
    UniqueFd& fd = files_[kind.name];
    if (!fd) {
      fd.Reset(memfd_create("rules", MFD_CLOEXEC));
      EXPECT_THAT(WriteAll(fd.get(), AsBytes(kind.content)), IsOk());
    }
    return fd.get();
  }
  static const Kind& KindNamed(std::string_view name) {
    for (const Kind& kind : Kinds())
      if (kind.name == name) return kind;
    ADD_FAILURE() << name;
    return Kinds().front();
  }
  Rules Make(std::string_view policy, Appraise appraise = Appraise::kOff) {
    RulesOptions o;
    o.policy = PolicyOf(policy);
    o.appraise = appraise;
    o.known = [](const Digest& d) { return d == DigestOf("known"); };
    notices_ = std::make_shared<Notices>([this](const Refusal& r) { refusals_.push_back(r); });
    return Rules(o, notices_);
  }
  Use Look(const Rules& rules, const Kind& kind, const Column& column) {
    const Opener opener{.program = column.opener.value_or(Interpreter::kUnknown), .words = "x"};
    const Task task{.tid = gettid(), .uid = getuid(), .euid = geteuid(), .gid = getgid(), .egid = getegid()};
    return rules.Look(Fd(kind), kind.path, task, {column.hook}, std::nullopt,
                      column.opener ? &opener : nullptr);
  }
  // One line for each kind: the uses of which it is measured.
  std::vector<std::string> Measured(std::string_view policy) {
    const Rules rules = Make(policy);
    std::vector<std::string> lines;
    for (const Kind& kind : Kinds()) {
      std::string line = kind.name + ":";
      for (const Column& column : Columns())
        if (Look(rules, kind, column).ruling.measure) line += " " + column.name;
      lines.push_back(std::move(line));
    }
    return lines;
  }
  std::map<std::string, UniqueFd> files_;
  // What was told so far; it is told by another thread.
  const std::vector<Refusal>& Refusals() const {
    EXPECT_TRUE(notices_->WaitIdle(std::chrono::seconds(10)));
    return refusals_;
  }
  std::vector<Refusal> refusals_;
  std::shared_ptr<Notices> notices_;  // its thread ends before what it writes to
};

TEST_F(RulesTest, TheDefaultMeasuresCodeAndWhatInterpretersTakeForIt) {
  constexpr const char* kCode = " module firmware kexec initramfs policy bpf";
  EXPECT_THAT(Measured("default"), ElementsAre(std::string("program: exec mmap sh gone rdwr") + kCode,
                                               std::string("object: exec mmap sh gone rdwr") + kCode,
                                               std::string("module: exec mmap sh gone rdwr") + kCode,
                                               std::string("script: exec mmap sh py gone rdwr") + kCode,
                                               std::string("code.py: exec mmap sh py gone rdwr") + kCode,
                                               std::string("data: exec mmap sh gone rdwr") + kCode,
                                               std::string("buffer: exec mmap sh py gone rdwr") + kCode));
}

TEST_F(RulesTest, TheOtherBuiltInPoliciesAskNobodyWhatAFileIs) {
  for (const Kind& kind : Kinds()) {
    std::string exec, all;
    const Rules exec_only = Make("exec"), all_files = Make("all_files");
    for (const Column& c : Columns()) {
      if (Look(exec_only, kind, c).ruling.measure) exec += " " + c.name;
      if (Look(all_files, kind, c).ruling.measure) all += " " + c.name;
    }
    EXPECT_EQ(exec, " exec mmap module firmware kexec initramfs policy bpf") << kind.name;
    EXPECT_EQ(all, " exec mmap sh py tar gone rdwr module firmware kexec initramfs policy bpf") << kind.name;
  }
}

TEST_F(RulesTest, WhatLooksLikeCode) {
  EXPECT_THAT(
      Measured("measure func=FILE_CHECK mask=MAY_READ code=yes"),
      ElementsAre("program: sh py tar gone", "object:", "module: sh py tar gone", "script: sh py tar gone",
                  "code.py: sh py tar gone", "data:", "buffer: sh py tar gone"));
}

// What the kernel's and our conditions do to one use, the execution of the file "data" (owned by us).
TEST_F(RulesTest, ConditionsOfRules) {
  struct Row {
    const char* rules;
    bool measure, appraise, audit;
  };
  const std::string own = std::to_string(geteuid()), other = std::to_string(geteuid() + 1);
  const std::string by_owner = "measure fowner=" + own, by_other = "measure fowner=" + other;
  const std::string by_uid = "measure uid=" + std::to_string(getuid()), by_euid = "measure euid=" + other;
  for (const Row& row : {
           Row{"measure", true, false, false},
           {"measure func=BPRM_CHECK", true, false, false},
           {"measure func=MMAP_CHECK", false, false, false},
           {"measure mask=MAY_EXEC", true, false, false},
           {"measure mask=MAY_READ", false, false, false},
           {"measure path=/t/**", true, false, false},
           {"measure path=/u/**", false, false, false},
           {"dont_measure path=/t/**\nmeasure", false, false, false},
           {"measure\ndont_measure path=/t/**", true, false, false},  // the first one decides
           {"measure code=no", true, false, false},
           {"measure code=yes", false, false, false},
           {"measure interpreted=yes", true, false, false},  // not opened to be read: it can't be told
           {"dont_measure interpreted=no\nmeasure", true, false, false},
           {"measure known=no", true, false, false},  // nobody has hashed it yet
           {by_owner.c_str(), true, false, false},
           {by_other.c_str(), false, false, false},
           {by_uid.c_str(), true, false, false},
           {by_euid.c_str(), false, false, false},
           {"appraise", false, true, false},
           {"audit", false, false, true},
           {"measure\nappraise\naudit", true, true, true},
           {"dont_appraise path=/t/**\nappraise\nmeasure", true, false, false},
       }) {
    const Rules rules = Make(row.rules, Appraise::kEnforce);
    const Ruling r = Look(rules, KindNamed("data"), Columns()[0]).ruling;
    EXPECT_EQ(r.measure, row.measure) << row.rules;
    EXPECT_EQ(r.appraise, row.appraise) << row.rules;
    EXPECT_EQ(r.audit, row.audit) << row.rules;
  }
}

TEST_F(RulesTest, OneHookOfSeveralIsEnough) {
  const Rules rules = Make("measure func=BPRM_CHECK\naudit func=MMAP_CHECK");
  const Kind& kind = KindNamed("program");
  const auto ruling = [&](std::vector<Hook> hooks) {
    return rules.Look(Fd(kind), kind.path, {.tid = gettid()}, std::move(hooks)).ruling;
  };
  const Hook exec{Func::kBprmCheck, kMayExec}, mmap{Func::kMmapCheck, kMayExec},
      read{Func::kFileCheck, kMayRead};
  EXPECT_TRUE(ruling({read, exec}).measure);
  EXPECT_FALSE(ruling({read, exec}).audit);
  EXPECT_TRUE(ruling({exec, mmap}).measure && ruling({exec, mmap}).audit);
  EXPECT_FALSE(ruling({read}).any());
  EXPECT_FALSE(ruling({}).any());
}

TEST_F(RulesTest, TheOpenerAndItsWordsSayWhatAFileIs) {
  struct Row {
    const char* what;
    const char* kind;
    Opener opener;
    bool measured, lasting;
  };
  using std::string_view_literals::operator""sv;
  for (const Row& row : {
           Row{"its argument",
               "data",
               {.program = Interpreter::kPython, .words = "python3\0/t/tool.conf\0"sv},
               true,
               true},
           {"another argument",
            "data",
            {.program = Interpreter::kPython, .words = "python3\0x.py\0"sv},
            false,
            false},
           {"words that can't be told", "data", {.program = Interpreter::kPython}, true, true},
           {"words that are cut",
            "data",
            {.program = Interpreter::kPython, .words = "python3\0-W\0ign"sv, .words_cut = true},
            true,
            true},
           {"no interpreter", "script", {.program = Interpreter::kNone, .words = "tar\0"sv}, false, false},
           {"marks: a script, whoever reads it",
            "script",
            {.program = Interpreter::kNone, .marks_only = true},
            true,
            true},
           {"marks: data, for everybody",
            "data",
            {.program = Interpreter::kNone, .marks_only = true},
            false,
            true},
           {"marks: any file for a shell",
            "data",
            {.program = Interpreter::kShell, .marks_only = true},
            true,
            true},
       }) {
    const Rules rules = Make("default");
    const Kind& kind = KindNamed(row.kind);
    const Use use = rules.Look(Fd(kind), kind.path, {.tid = gettid()}, {{Func::kFileCheck, kMayRead}},
                               std::nullopt, &row.opener);
    EXPECT_EQ(use.ruling.measure, row.measured) << row.what;
    EXPECT_EQ(rules.Lasting(use), row.lasting) << row.what;
  }
}

TEST_F(RulesTest, ConfigurationDependsOnTheOpenerAndThePath) {
  struct Row {
    const char* program;  // its path; empty: it has ended
    const char* path;
    bool measured, lasting;
  };
  const Kind& kind = KindNamed("data");
  for (const bool marks_only : {false, true}) {
    const Rules rules = Make("configuration");
    for (const Row& row : {
             Row{"/usr/sbin/sshd", "/etc/ssh/sshd_config", true, false},
             {"/usr/sbin/sshd (deleted)", "/etc/ssh/sshd_config", true, false},
             {"/usr/sbin/sshd", "/etc/sudoers", false, false},
             {"/usr/sbin/cron", "/etc/crontab", true, false},
             {"/usr/bin/cat", "/etc/sudoers", false, false},
             {"", "/etc/sudoers", true, true},
             {"", "/etc/motd", false, false},
         }) {
      Opener opener{.marks_only = marks_only, .words = "x"};
      opener.SetProgram(row.program);
      const Use use = rules.Look(Fd(kind), row.path, {.tid = gettid()}, {{Func::kFileCheck, kMayRead}},
                                 std::nullopt, &opener);
      EXPECT_EQ(use.ruling.measure, row.measured) << row.program << " " << row.path;
      // Where the opener is not known, it may be an interpreter.
      EXPECT_EQ(use.configured, row.measured && row.program[0] != '\0') << row.program << " " << row.path;
      EXPECT_EQ(use.Name(), use.configured ? std::string("configuration:") + row.path : row.path);
      // Fanotify's mark holds for every opener, so a file without marks of code is marked as data, but no
      // configuration.
      const bool data = marks_only && !IsConfiguration(row.path);
      EXPECT_EQ(rules.Lasting(use), row.lasting || data) << row.program << " " << row.path << marks_only;
    }
  }
  // A rule of another policy does not look at it.
  const Rules others = Make("default");
  Opener opener{.words = "x"};
  opener.SetProgram("/usr/sbin/sshd");
  EXPECT_FALSE(others
                   .Look(Fd(kind), "/etc/ssh/sshd_config", {.tid = gettid()}, {{Func::kFileCheck, kMayRead}},
                         std::nullopt, &opener)
                   .ruling.any());
}

// What becomes of a use once its digest is known, or can't be had (unreadable, or open for writing).
TEST_F(RulesTest, WhatIsRefused) {
  struct Row {
    Appraise appraise;
    const char* rules;
    const char* content;  // null: no digest
    bool allowed;
    std::uint64_t counted;
    bool enforced;
  };
  constexpr const char* kExec = "measure func=BPRM_CHECK\nappraise func=BPRM_CHECK";
  for (const Row& row : {
           Row{Appraise::kOff, kExec, "known", true, 0, false},
           {Appraise::kOff, kExec, "unknown", true, 0, false},
           {Appraise::kOff, kExec, nullptr, true, 0, false},
           {Appraise::kLearn, kExec, "known", true, 0, false},
           {Appraise::kLearn, kExec, "unknown", true, 1, false},
           {Appraise::kLearn, kExec, nullptr, true, 1, false},
           {Appraise::kEnforce, kExec, "known", true, 0, false},
           {Appraise::kEnforce, kExec, "unknown", false, 1, true},
           {Appraise::kEnforce, kExec, nullptr, false, 1, true},
           {Appraise::kEnforce, "measure\nappraise func=MMAP_CHECK", "unknown", true, 0, false},
           {Appraise::kEnforce, "dont_appraise path=/t/**\nappraise", "unknown", true, 0, false},
           {Appraise::kEnforce, "appraise known=yes", "unknown", true, 0, false},
           {Appraise::kEnforce, "appraise known=no", "unknown", false, 1, true},
           {Appraise::kEnforce, "appraise known=no", "known", true, 0, false},
       }) {
    refusals_.clear();
    Rules rules = Make(row.rules, row.appraise);
    Use use = Look(rules, KindNamed("program"), Columns()[0]);
    const Digest digest = DigestOf(row.content != nullptr ? row.content : "");
    const std::string what = std::string(row.rules) + ", " + (row.content != nullptr ? row.content : "none");
    EXPECT_EQ(rules.Settle(use, row.content != nullptr ? &digest : nullptr, {}), row.allowed) << what;
    EXPECT_EQ(rules.refused(), row.counted) << what;
    ASSERT_EQ(Refusals().size(), row.counted) << what;
    if (row.counted == 0) continue;
    EXPECT_EQ(refusals_[0].path, "/t/tool");
    EXPECT_EQ(refusals_[0].enforced, row.enforced) << what;
    EXPECT_EQ(refusals_[0].digest, row.content != nullptr ? digest : Digest()) << what;
  }
}

TEST_F(RulesTest, WithoutAManifestNothingIsKnown) {
  RulesOptions o;
  o.policy = PolicyOf("appraise");
  o.appraise = Appraise::kEnforce;
  Rules rules(o);
  Use use = Look(rules, KindNamed("program"), Columns()[0]);
  const Digest digest = DigestOf("known");
  EXPECT_FALSE(rules.Settle(use, &digest, {}));
}

TEST_F(RulesTest, ARefusalIsToldOnceForAPathAndDigestAndCountedEachTime) {
  Rules rules = Make("appraise", Appraise::kEnforce);
  const Digest one = DigestOf("one"), two = DigestOf("two");
  for (const Digest* digest : {&one, &one, &two, &one, static_cast<const Digest*>(nullptr)}) {
    Use use = Look(rules, KindNamed("program"), Columns()[0]);
    EXPECT_FALSE(rules.Settle(use, digest, {}));
  }
  EXPECT_EQ(rules.refused(), 5U);
  EXPECT_EQ(Refusals().size(), 3U);
}

TEST_F(RulesTest, TheDigestMayChangeWhatIsMeasured) {
  Rules rules = Make("dont_measure known=yes\nmeasure");
  const Digest known = DigestOf("known"), unknown = DigestOf("unknown");
  const auto measured = [&](const Digest* digest) {
    Use use = Look(rules, KindNamed("program"), Columns()[0]);
    EXPECT_TRUE(use.ruling.measure);  // so that it is hashed at all
    EXPECT_TRUE(rules.Settle(use, digest, {}));
    return use.ruling.measure;
  };
  EXPECT_FALSE(measured(&known));
  EXPECT_TRUE(measured(&unknown));
  EXPECT_TRUE(measured(nullptr));
  EXPECT_THAT(Refusals(), IsEmpty());
}

TEST_F(RulesTest, HowLongARulingStands) {
  struct Row {
    const char* rules;
    const char* content;
    bool lasting;
  };
  for (const Row& row : {
           Row{"measure", "unknown", true},
           {"measure func=MMAP_CHECK", "unknown", true},         // nobody's business, whoever asks
           {"measure func=MMAP_CHECK uid=0", "unknown", false},  // another task's may be
           {"measure func=MMAP_CHECK cgroup=/a", "unknown", false},
           {"measure uid<4294967295", "unknown", true},              // measured for one, measured for all
           {"measure template=d-ng|n-ng|cgpath", "unknown", false},  // another group's use is another record
           {"measure\nappraise func=MMAP_CHECK", "unknown", false},  // may be refused at the next hook
           {"measure\nappraise func=MMAP_CHECK", "known", true},
           {"appraise", "known", false},  // allowed, and not measured
           {"audit", "known", false},
       }) {
    Rules rules = Make(row.rules, Appraise::kLearn);
    Use use = Look(rules, KindNamed("program"), Columns()[0]);
    const Digest digest = DigestOf(row.content);
    rules.Settle(use, &digest, {});
    EXPECT_EQ(rules.Lasting(use), row.lasting) << row.rules << ", " << row.content;
  }
}

}  // namespace
}  // namespace assay::measure
