#include "measure/policy/policy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/result_testing.h"

namespace assay::measure {
namespace {

Policy Of(std::string_view text) {
  auto policy = Policy::Parse(text);
  EXPECT_THAT(policy, IsOk());
  return policy ? std::move(*policy) : Policy();
}

void ExpectError(std::string_view text, std::uint64_t offset, std::string_view what) {
  const auto policy = Policy::Parse(text);
  ASSERT_THAT(policy, FailsWith("parse.measure-policy")) << text;
  const auto* error = policy.error().As<ParseError>();
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->offset, offset) << text;
  EXPECT_NE(error->what.find(what), std::string::npos) << error->what;
}

TEST(Policy, TheFirstRuleOfEachKindDecides) {
  const Policy p =
      Of("# a comment\n\n"
         "dont_measure func=FILE_CHECK path=/var/**\n"
         "measure func=FILE_CHECK mask=^MAY_READ uid=0\n"
         "appraise func=BPRM_CHECK fowner=0\n"
         "audit func=BPRM_CHECK\n");
  Facts f{.owner = 0, .path = "/var/lib/x", .uid = 0};
  EXPECT_FALSE(p.Rule(Func::kFileCheck, kMayRead, f).any());
  f.path = "/usr/lib/x";
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead, f).measure);
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead | kMayWrite, f).measure);
  EXPECT_FALSE(p.Rule(Func::kFileCheck, kMayExec, f).measure);
  f.uid = 1000;
  EXPECT_FALSE(p.Rule(Func::kFileCheck, kMayRead, f).measure);
  const Ruling run = p.Rule(Func::kBprmCheck, kMayExec, f);
  EXPECT_TRUE(run.appraise && run.audit && !run.measure);
  EXPECT_TRUE(p.Appraises());
  EXPECT_TRUE(p.DependsOnTask());
}

TEST(Policy, WithoutAHatTheMaskIsExact) {
  const Policy p = Of("measure func=FILE_CHECK mask=MAY_READ\n");
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead, {}).measure);
  EXPECT_FALSE(p.Rule(Func::kFileCheck, kMayRead | kMayWrite, {}).measure);
}

TEST(Policy, NumbersAreCompared) {
  const Policy p = Of("measure uid>999 fowner<10\nmeasure fsmagic=0xEF53 gid=5\n");
  Facts f{.fs_magic = 1, .owner = 9, .uid = 1000, .gid = 5};
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead, f).measure);
  f.owner = 10;
  EXPECT_FALSE(p.Rule(Func::kFileCheck, kMayRead, f).measure);
  f.fs_magic = 0xef53;
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead, f).measure);
}

TEST(Policy, WhatCannotBeToldCountsForMeasuring) {
  EXPECT_TRUE(Of("measure fsname=ext4\n").Rule(Func::kMmapCheck, kMayExec, {}).measure);
  const Policy p = Of("dont_measure fsname=ext4\nmeasure\ndont_appraise cgroup=/a\nappraise known=no\n");
  const Ruling r = p.Rule(Func::kMmapCheck, kMayExec, {});
  EXPECT_TRUE(r.measure && r.appraise);
}

TEST(Policy, ErrorsNameThePlace) {
  ExpectError("", 0, "no rule");
  ExpectError("# nothing\n", 0, "no rule");
  ExpectError("measure\nmesure\n", 8, "not an action");
  ExpectError("measure func=EXEC\n", 13, "not a supported hook");
  ExpectError("measure func=FILE_CHECK func=FILE_CHECK", 24, "twice");
  ExpectError("measure mask=READ", 13, "MAY_READ");
  ExpectError("measure uid", 8, "NAME=VALUE");
  ExpectError("measure uid=", 8, "NAME=VALUE");
  ExpectError("measure uid=-1", 12, "number");
  ExpectError("measure uid=4294967296", 12, "number");
  ExpectError("measure fsname<ext4", 15, "= only");
  ExpectError("measure obj_type=bin_t", 8, "not supported: obj_type");
  ExpectError("measure appraise_type=imasig", 8, "not supported");
  ExpectError("measure path=usr/bin", 13, "glob");
  ExpectError("measure template=ima-sig", 17, "not ima-ng");
  ExpectError("measure template=ima-ng template=ima-ng", 33, "twice");
  ExpectError("dont_measure template=ima-ng", 22, "only a measure rule");
  ExpectError("appraise template=ima-ng", 18, "only a measure rule");
  ExpectError("measure path=/usr\\", 13, "glob");
  ExpectError("measure fsuuid=1", 15, "UUID");
  ExpectError("measure code=maybe", 13, "yes or no");
  ExpectError(std::string_view("measure\0", 8), 7, "NUL");
  ExpectError("hash\n", 0, "not an action");
  EXPECT_THAT(Policy::Parse(std::string(kMaxPolicy + 1, ' ')), FailsWith("parse.measure-policy"));
}

TEST(Policy, ARuleNamesTheTemplateOfItsRecords) {
  const Policy p = Of("measure func=BPRM_CHECK template=d-ng|n-ng|cgpath\nmeasure template=ima-ng\n");
  EXPECT_TRUE(p.RecordsCgroups());
  EXPECT_FALSE(p.DependsOnTask());
  EXPECT_TRUE(p.Rule(Func::kBprmCheck, kMayExec, {}).record == ima::Template::kNgCgroup);
  const Ruling mapped = p.Rule(Func::kMmapCheck, kMayExec, {});
  EXPECT_TRUE(mapped.measure && mapped.record == ima::Template::kNg);
  EXPECT_FALSE(Of("measure\n").RecordsCgroups());
}

TEST(Policy, WhetherOnlyInterpretersOpensAreAsked) {
  for (const char* yes :
       {"measure func=FILE_CHECK interpreted=yes\nmeasure func=BPRM_CHECK\n", "measure func=BPRM_CHECK\n",
        "dont_measure path=/a\nmeasure func=PATH_CHECK interpreted=yes\n"})
    EXPECT_TRUE(Of(yes).AsksInterpretersOnly()) << yes;
  for (const char* no :
       {"measure\n", "measure func=FILE_CHECK code=yes\n", "measure func=FILE_CHECK interpreted=no\n",
        "measure func=FILE_CHECK interpreted=yes\naudit fowner=0\n"})
    EXPECT_FALSE(Of(no).AsksInterpretersOnly()) << no;
  EXPECT_TRUE(Of(*Policy::BuiltIn("default")).AsksInterpretersOnly());
  EXPECT_FALSE(Of(*Policy::BuiltIn("all_files")).AsksInterpretersOnly());
  EXPECT_FALSE(Of(*Policy::BuiltIn("tcb")).AsksInterpretersOnly());
  const Policy p = Of("measure interpreted=yes\n");
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead, {.interpreted = true}).measure);
  EXPECT_FALSE(p.Rule(Func::kFileCheck, kMayRead, {.interpreted = false}).measure);
  EXPECT_TRUE(p.Rule(Func::kFileCheck, kMayRead, {}).measure);
}

TEST(Policy, TheBuiltInOnesParse) {
  for (const char* name : {"default", "all_files", "exec", "configuration", "tcb", "appraise_tcb"}) {
    ASSERT_TRUE(Policy::BuiltIn(name)) << name;
    Of(*Policy::BuiltIn(name));
  }
  EXPECT_FALSE(Policy::BuiltIn("none"));
  const Policy tcb = Of(*Policy::BuiltIn("tcb"));
  const Facts user{.fs_magic = 0xef53, .uid = 1000, .euid = 1000};
  const Facts setuid{.fs_magic = 0xef53, .uid = 1000, .euid = 0};
  const Facts tmpfs{.fs_magic = TMPFS_MAGIC, .uid = 0, .euid = 0};
  EXPECT_FALSE(tcb.Rule(Func::kFileCheck, kMayRead, user).measure);
  EXPECT_TRUE(tcb.Rule(Func::kFileCheck, kMayRead, setuid).measure);
  EXPECT_FALSE(tcb.Rule(Func::kFileCheck, kMayRead, tmpfs).measure);
  EXPECT_TRUE(tcb.Rule(Func::kMmapCheck, kMayExec, tmpfs).measure);
  EXPECT_FALSE(Of(*Policy::BuiltIn("default")).DependsOnTask());
}

TEST(Policy, Globs) {
  EXPECT_TRUE(GlobMatches("/usr/bin/*", "/usr/bin/ls"));
  EXPECT_FALSE(GlobMatches("/usr/*", "/usr/bin/ls"));
  EXPECT_TRUE(GlobMatches("/usr/**", "/usr/bin/ls"));
  EXPECT_TRUE(GlobMatches("/usr/**/*.so.?", "/usr/lib/x86/libc.so.6"));
  EXPECT_FALSE(GlobMatches("/usr/**/*.so.?", "/usr/lib/x86/libc.so.6/x"));
  EXPECT_TRUE(GlobMatches("**", "/a"));
  EXPECT_TRUE(GlobMatches("/a\\*", "/a*"));
  EXPECT_FALSE(GlobMatches("/a\\*", "/ab"));
  EXPECT_FALSE(GlobMatches("/a?b", "/a/b"));
  EXPECT_TRUE(GlobMatches("/**/c/*", "/a/c/b/c/d"));
}

TEST(Policy, APathMayHaveBlanks) {
  const auto policy =
      Policy::Parse("dont_measure path=/opt/my\\ app/**\\\t uid=0\nmeasure func=BPRM_CHECK\n");
  ASSERT_THAT(policy, IsOk());
  const auto measures = [&](const std::string& path) {
    Facts facts{.path = path};
    facts.uid = 0;
    return policy->Rule(Func::kBprmCheck, kMayExec, facts).measure;
  };
  EXPECT_FALSE(measures("/opt/my app/bin/tool\t"));
  EXPECT_TRUE(measures("/opt/my app/bin/tool"));
  EXPECT_TRUE(measures("/opt/my\\ app/bin/tool\t"));
  EXPECT_THAT(Policy::Parse("measure path=/opt/my app"), FailsWith("parse.measure-policy"));
  EXPECT_THAT(Policy::Parse("measure path=/opt/my\\"), FailsWith("parse.measure-policy"));
  EXPECT_THAT(Policy::Parse("measure path=/opt/my\\\\"), IsOk());  // a backslash
  EXPECT_THAT(Policy::Parse("measure fsname=my\\ fs"), FailsWith("parse.measure-policy"));
}

TEST(Policy, FactsOfAFile) {
  char name[] = "/tmp/assay-policy.XXXXXX";
  const UniqueFd fd(mkostemp(name, O_CLOEXEC));
  ASSERT_TRUE(fd);
  const Task task{.tid = gettid(), .uid = getuid(), .euid = 4711};
  const Facts f = GatherFacts(fd.get(), name, task, ~0U);
  unlink(name);
  EXPECT_EQ(f.owner, getuid());
  EXPECT_EQ(f.group, getgid());
  EXPECT_EQ(f.uid, getuid());
  EXPECT_EQ(f.euid, 4711U) << "as the engine knows it";
  EXPECT_FALSE(f.gid);
  EXPECT_EQ(f.path, name);
  EXPECT_TRUE(f.fs_magic);
  EXPECT_TRUE(f.fs_name);
  EXPECT_FALSE(f.known);
  EXPECT_FALSE(GatherFacts(fd.get(), name, task, 0).path);
}

Policy BuiltInPolicy(std::string_view name) { return *Policy::Parse(*Policy::BuiltIn(name)); }

TEST(PolicyTest, MeasuresAtLeastWhatAnotherDoes) {
  const Policy base = BuiltInPolicy("default"), exec = BuiltInPolicy("exec"), tcb = BuiltInPolicy("tcb");
  const std::string text = base.text();
  const auto at_least = [&](const std::string& rules) {
    const Result<Policy> policy = Policy::Parse(rules);
    EXPECT_THAT(policy, IsOk()) << rules;
    return policy && policy->AtLeast(base);
  };
  EXPECT_TRUE(base.AtLeast(base));
  EXPECT_TRUE(tcb.AtLeast(tcb));
  EXPECT_TRUE(base.AtLeast(exec));
  EXPECT_TRUE(BuiltInPolicy("all_files").AtLeast(base));
  EXPECT_FALSE(exec.AtLeast(base));
  EXPECT_FALSE(tcb.AtLeast(base));
  EXPECT_FALSE(base.AtLeast(BuiltInPolicy("all_files")));
  EXPECT_TRUE(at_least("measure\n"));
  EXPECT_TRUE(at_least("# as built in\n\n" + text));
  EXPECT_TRUE(at_least(text + "dont_measure path=/opt/**\n"));
  EXPECT_TRUE(at_least("dont_appraise uid=0\n" + text + "appraise func=BPRM_CHECK\n"));
  EXPECT_TRUE(at_least("measure func=BPRM_CHECK template=d-ng|n-ng|cgpath\n" + text));
  EXPECT_FALSE(at_least("dont_measure path=/opt/**\n" + text));
  EXPECT_FALSE(at_least("dont_measure fsmagic=0x9fa0\n" + text));
  EXPECT_FALSE(at_least("measure func=POLICY_CHECK\n"));
  EXPECT_FALSE(at_least("appraise\n"));
  // Every rule is necessary, and none may be narrower.
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const std::size_t end = text.find('\n', at);
    EXPECT_FALSE(at_least(text.substr(0, at) + text.substr(end + 1))) << text.substr(at, end - at);
    EXPECT_FALSE(at_least(text.substr(0, end) + " uid=0" + text.substr(end))) << text.substr(at, end - at);
  }
  // The policy may have an exception of the other policy too, or a narrower one, but not a wider one.
  const std::string kernel = tcb.text();
  EXPECT_TRUE(Policy::Parse("dont_measure fsmagic=0x9fa0 uid=0\n" + kernel)
                  ->AtLeast(*Policy::Parse("dont_measure fsmagic=0x9fa0\n" + kernel)));
  EXPECT_FALSE(Policy::Parse("dont_measure\n" + kernel)->AtLeast(tcb));
}

}  // namespace
}  // namespace assay::measure
