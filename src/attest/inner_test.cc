#include "attest/inner.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "base/result_testing.h"
#include "channel/stream.h"
#include "channel/tls.h"

namespace assay::attest {
namespace {

NetRequest Sample() {
  NetRequest q;
  q.fingerprint = Fingerprint::Of(Bytes(32, 1)).value();
  q.exporter.fill(2);
  evidence::Challenge c;
  c.nonce = evidence::Nonce::Filled(3);
  c.first_record = 4;
  c.want_context = false;
  c.selection = {{.bank = 0x000B, .pcrs = {0, 10, 23}}, {.bank = 0x0004, .pcrs = {10}}};
  q.question = c;
  return q;
}

std::string ErrorOf(const Bytes& packet) {
  const auto q = ParseNetRequest(packet);
  return q ? "" : q.error().code() + " " + std::to_string(q.error().As<ParseError>()->offset);
}

TEST(NetRequests, GoBothWays) {
  const Bytes wire = EncodeNetRequest(Sample());
  EXPECT_EQ(wire.size(), 158U);
  const auto q = ParseNetRequest(wire);
  ASSERT_THAT(q, IsOk());
  const auto& c = std::get<evidence::Challenge>(q->question);
  EXPECT_EQ(c.selection, std::get<evidence::Challenge>(Sample().question).selection);
  EXPECT_EQ(c.first_record, 4U);
  EXPECT_FALSE(c.want_context);
  EXPECT_EQ(EncodeNetRequest(*q), wire);
}

TEST(NetRequests, EveryOtherFormIsAnErrorWithItsOffset) {
  const Bytes wire = EncodeNetRequest(Sample());
  for (std::size_t n = 0; n < wire.size(); ++n)
    EXPECT_THAT(ParseNetRequest(ByteView(wire).first(n)), FailsWith("parse.net-request"));
  const auto with = [&](std::size_t at, std::uint8_t byte) {
    Bytes b = wire;
    b[at] = byte;
    return ErrorOf(b);
  };
  EXPECT_EQ(with(0, 'X'), "parse.net-request 0");
  EXPECT_EQ(with(108, 8), "parse.net-request 108") << "unknown bits of want";
  EXPECT_EQ(with(109, 9), "parse.net-request 109") << "too many banks";
  EXPECT_EQ(with(109, 1), "parse.net-request 116") << "a bank beyond the number of banks";
  EXPECT_EQ(with(111, 0x77), "parse.net-request 110") << "unknown bank";
  EXPECT_EQ(with(112, 1), "parse.net-request 112") << "PCR 24";
  EXPECT_EQ(with(117, 0x0B), "parse.net-request 116") << "a bank named twice";
  Bytes longer = wire;
  longer.push_back(0);
  EXPECT_EQ(ErrorOf(longer), "parse.net-request 158");
}

TEST(NetRequests, EnrolmentGoesBothWays) {
  NetRequest q = Sample();
  q.question = evidence::Identify{};
  Bytes wire = EncodeNetRequest(q);
  EXPECT_EQ(wire.size(), 69U);
  ASSERT_THAT(ParseNetRequest(wire), IsOk());
  EXPECT_EQ(EncodeNetRequest(*ParseNetRequest(wire)), wire);
  q.question = evidence::Activate{.nonce = evidence::Nonce::Filled(1),
                                  .credential = Bytes(tpm::kMaxCredential, 2),
                                  .secret = Bytes(tpm::kMaxEncryptedSecret, 3),
                                  .device = true};
  wire = EncodeNetRequest(q);
  EXPECT_EQ(wire.size(), kNetRequestMax);
  ASSERT_THAT(ParseNetRequest(wire), IsOk());
  EXPECT_EQ(EncodeNetRequest(*ParseNetRequest(wire)), wire);
  for (std::size_t n = 0; n < wire.size(); ++n)
    EXPECT_THAT(ParseNetRequest(ByteView(wire).first(n)), FailsWith("parse.net-request"));
  wire[101] = 0xFF;
  EXPECT_EQ(ErrorOf(wire), "parse.net-request 100") << "a credential that is too long";
  wire[101] = wire[100] = 0;
  EXPECT_EQ(ErrorOf(wire), "parse.net-request 100") << "none";
}

TEST(NetReports, GoBothWays) {
  const auto ready = ParseNetReport(EncodeNetReport({.ready = true, .landlock_abi = 7, .text = ""}));
  ASSERT_THAT(ready, IsOk());
  EXPECT_TRUE(ready->ready);
  EXPECT_EQ(ready->landlock_abi, 7U);
  const Bytes told = EncodeNetReport({.ready = false, .landlock_abi = 0, .text = std::string(1000, 'x')});
  EXPECT_LE(told.size(), kNetReportMax);
  EXPECT_EQ(ParseNetReport(told)->text.substr(0, 3), "xxx");
  EXPECT_EQ(ParseNetAnswer(EncodeNetAnswer(77)).value(), 77U);
  EXPECT_THAT(ParseNetAnswer(EncodeNetAnswer(evidence::kMaxEvidence + 1)), FailsWith("parse.net-answer"));
  NetSetup setup{
      .parent = 1, .uid = 2, .gid = 3, .slots = 4, .timeout_ms = 5, .certificate_pem = "c", .key_pem = "k"};
  const auto parsed = ParseNetSetup(EncodeNetSetup(setup));
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->key_pem, "k");
  setup.slots = kMaxSlots + 1;
  EXPECT_THAT(ParseNetSetup(EncodeNetSetup(setup)), FailsWith("parse.net-setup"));
}

TEST(Packets, AreWholeOrErrors) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd a(fds[0]);
  UniqueFd b(fds[1]);
  ASSERT_THAT(SendPacket(b.get(), Bytes(kNetChunk, 1)), IsOk());
  EXPECT_EQ(ReceivePacket(a.get(), kNetChunk)->size(), kNetChunk);
  ASSERT_THAT(SendPacket(b.get(), Bytes(11, 1)), IsOk());
  EXPECT_THAT(ReceivePacket(a.get(), 10), FailsWith("parse.packet"));
  b.Reset();
  EXPECT_THAT(ReceivePacket(a.get(), 10), FailsWith("inner.closed"));
  EXPECT_THAT(SendPacket(a.get(), Bytes(1)), FailsWith("inner.closed"));
}

TEST(Deadlines, AreEarnedByProgressButNotSaved) {
  using namespace std::chrono_literals;
  channel::Deadline d(1s);
  EXPECT_GT(d.RemainingMs(), 900);
  d.Progress(std::size_t{1} << 30);
  EXPECT_LE(d.RemainingMs(), 1000);
  channel::Deadline over(0s);
  EXPECT_EQ(over.RemainingMs(), 0);
  EXPECT_THAT(over.Wait(0, 0), FailsWith("attest.timeout"));
}

TEST(Tls, AStalledWriterIsTimedOut) {
  using namespace std::chrono_literals;
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd left(fds[0]), right(fds[1]);
  const PrivateKey key = PrivateKey::GenerateP256().value();
  const channel::TlsIdentity own{MakeCertificatePem(key, {.common_name = "x"}, nullptr, "").value(),
                                 key.Pem()};
  const Fingerprint pin = CertificateFingerprint(CertificateFromPem(own.certificate_pem).value().get());
  std::thread client([&] {
    const SslCtxPtr context = channel::TlsClientContext(own).value();
    EXPECT_THAT(channel::TlsStream::Connect(context.get(), left.get(), pin, channel::Deadline(30s)), IsOk());
  });
  const SslCtxPtr context = channel::TlsServerContext(own).value();
  auto tls = channel::TlsStream::Accept(context.get(), right.get(), channel::Deadline(30s));
  client.join();
  ASSERT_THAT(tls, IsOk());
  EXPECT_EQ(tls->peer(), pin);
  EXPECT_EQ(tls->exporter().size(), 32U);
  channel::Deadline deadline(200ms);
  EXPECT_THAT(tls->Write(Bytes(8 << 20, 1), deadline), FailsWith("attest.timeout"));
}

TEST(Descriptors, TravelInOnePacket) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  std::vector<int> fds(kMaxDescriptors, theirs.get());
  ASSERT_TRUE(SendDescriptors(ours.get(), fds));
  const Result<std::vector<UniqueFd>> taken = ReceiveDescriptors(theirs.get());
  ASSERT_TRUE(taken) << taken.error().Message();
  EXPECT_EQ(taken->size(), kMaxDescriptors);
  for (const UniqueFd& fd : *taken) EXPECT_NE(fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  fds.push_back(theirs.get());
  EXPECT_EQ(SendDescriptors(ours.get(), fds).error().code(), "usage");
  EXPECT_EQ(SendDescriptors(ours.get(), {}).error().code(), "usage");
}

TEST(Descriptors, WhatIsNoSuchPacketIsAnError) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  ASSERT_EQ(send(ours.get(), "longer", 6, 0), 6);
  EXPECT_EQ(ReceiveDescriptors(theirs.get()).error().code(), "parse.net-descriptors");
  ours.Reset();
  EXPECT_EQ(ReceiveDescriptors(theirs.get()).error().code(), "inner.closed");
}

}  // namespace
}  // namespace assay::attest
