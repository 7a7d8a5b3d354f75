#include "measure/fanotify/served_wire.h"

#include <gtest/gtest.h>

#include <tuple>

namespace assay::measure {
namespace {

// Each field has a value of its own.
TEST(ServedWire, SetupSurvives) {
  ServedSetup s{.point = "/mnt/a",
                .device = 77,
                .filesystem = true,
                .bank = HashAlg::kSha384,
                .policy = "measure\n",
                .appraise = Appraise::kEnforce,
                .extensions = {".a", ".b"},
                .initramfs_device = 5,
                .limits = {}};
  s.limits = {.workers = 3,
              .deadline = std::chrono::milliseconds(111),
              .expiry = Expiry::kRefuse,
              .record_grace = std::chrono::milliseconds(222),
              .exempt = {7, 8}};
  const Bytes packet = Encode(s);
  const Result<ServedSetup> back = ParseServedSetup(packet);
  ASSERT_TRUE(back) << back.error().Message();
  EXPECT_EQ(std::tie(back->point, back->device, back->filesystem, back->bank, back->policy, back->appraise,
                     back->extensions, back->initramfs_device),
            std::tie(s.point, s.device, s.filesystem, s.bank, s.policy, s.appraise, s.extensions,
                     s.initramfs_device));
  EXPECT_EQ(back->limits.workers, 3U);
  EXPECT_EQ(back->limits.deadline, s.limits.deadline);
  EXPECT_EQ(back->limits.expiry, Expiry::kRefuse);
  EXPECT_EQ(back->limits.record_grace, s.limits.record_grace);
  EXPECT_EQ(back->limits.exempt, s.limits.exempt);
  for (std::size_t n = 0; n < packet.size(); ++n) EXPECT_FALSE(ParseServedSetup(ByteView(packet).first(n)));
}

TEST(ServedWire, CallSurvives) {
  const SinkCall c{.kind = SinkCall::Kind::kRecord,
                   .digest = Hash(HashAlg::kSha256, AsBytes("x")),
                   .violation = Violation::kToMToU,
                   .path = "/a\xff b",
                   .context = {.time_ms = 1,
                               .pid = 2,
                               .uid = 3,
                               .comm = "c",
                               .hook = "h",
                               .cgroup = "/g",
                               .program = "/p",
                               .script = "s",
                               .under = "u",
                               .late = true},
                   .flag = true,
                   .code = Hash(HashAlg::kSha256, AsBytes("y"))};
  const Bytes packet = Encode(c);
  const Result<SinkCall> back = ParseSinkCall(packet, HashAlg::kSha256);
  ASSERT_TRUE(back) << back.error().Message();
  EXPECT_EQ(Encode(*back), packet);
  EXPECT_EQ(std::tie(back->kind, back->digest, back->violation, back->path, back->flag, back->code),
            std::tie(c.kind, c.digest, c.violation, c.path, c.flag, c.code));
  EXPECT_EQ(std::tie(back->context.time_ms, back->context.pid, back->context.uid, back->context.comm,
                     back->context.hook, back->context.cgroup, back->context.program, back->context.script,
                     back->context.under, back->context.late),
            std::tie(c.context.time_ms, c.context.pid, c.context.uid, c.context.comm, c.context.hook,
                     c.context.cgroup, c.context.program, c.context.script, c.context.under, c.context.late));
  EXPECT_FALSE(ParseSinkCall(packet, HashAlg::kSha384)) << "a digest of another bank";
  for (std::size_t n = 0; n < packet.size(); ++n)
    EXPECT_FALSE(ParseSinkCall(ByteView(packet).first(n), HashAlg::kSha256));
}

TEST(ServedWire, ReplyAndReportSurvive) {
  const SinkReply reply{.ok = true, .yes = true, .index = 9, .code = "a.b", .what = "w"};
  const Result<SinkReply> same = ParseSinkReply(Encode(reply));
  ASSERT_TRUE(same);
  EXPECT_EQ(std::tie(same->ok, same->yes, same->index, same->code, same->what),
            std::tie(reply.ok, reply.yes, reply.index, reply.code, reply.what));
  ServedReport report{.started = true, .code = "engine.x", .what = "y", .stats = {}};
  report.stats.events = 1;
  report.stats.untold = 2;
  report.stats.hanging = 3;
  const Result<ServedReport> back = ParseServedReport(Encode(report));
  ASSERT_TRUE(back);
  EXPECT_EQ(Encode(*back), Encode(report));
  EXPECT_EQ(back->stats.untold, 2U);
  EXPECT_EQ(back->stats.hanging, 3U);
}

}  // namespace
}  // namespace assay::measure
