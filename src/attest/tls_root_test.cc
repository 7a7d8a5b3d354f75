// Challenges over TLS against the real network process: which verifiers may ask, what the process may not do,
// and what it survives.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "attest/inner.h"
#include "attest/sandbox.h"
#include "attest/server.h"
#include "base/log.h"
#include "base/result_testing.h"
#include "base/test_data.h"
#include "channel/client.h"
#include "channel/stream.h"
#include "channel/tls.h"
#include "evidence/errors.h"
#include "measure/record/recorder_testing.h"

namespace assay::attest {
namespace {

using namespace std::chrono_literals;

struct Party {
  std::string certificate, key;
  Fingerprint fingerprint;
};

Party MakeParty(const std::string& name) {
  const PrivateKey key = PrivateKey::GenerateP256().value();
  Party p;
  p.key = key.Pem();
  p.certificate = MakeCertificatePem(key, {.common_name = name}, nullptr, "").value();
  p.fingerprint = CertificateFingerprint(CertificateFromPem(p.certificate).value().get());
  return p;
}

std::string StatusLine(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
  return "";
}

// One attester for all tests: software TPM, recorder with a few records, server with a network process.
class TlsTest : public measure::RecordingTest {
 protected:
  void SetUp() override {
    ASSERT_THAT(log::Init({.level = log::Level::kOff, .json = false, .file = ""}), IsOk());
    ASSERT_NO_FATAL_FAILURE(RecordingTest::SetUp());
    recorder_options_.kernel_list = "";
    ASSERT_NO_FATAL_FAILURE(OpenRecorder());
    for (int i = 0; i < 5; ++i)
      ASSERT_THAT(recorder_->Record({Hash(HashAlg::kSha256, AsBytes(std::to_string(i))),
                                     "/bin/program" + std::to_string(i),
                                     {.time_ms = 1, .pid = 2, .uid = 3, .comm = "sh", .hook = "exec"}}),
                  IsOk());
    auto collector = Collector::Create({}, *recorder_, *tpm_, tpm::AkKind::kEccP256);
    ASSERT_THAT(collector, IsOk());
    collector_ = std::move(*collector);
    options_.listen_port = -1;
    options_.certificate_pem = attester_.certificate;
    options_.key_pem = attester_.key;
    options_.net_program = TestBinaries() + "/assay-net";
    options_.allow = {{verifier_.fingerprint, evidence::Level::kFull},
                      {lister_.fingerprint, evidence::Level::kList},
                      {curious_.fingerprint, evidence::Level::kQuote}};
  }
  void TearDown() override {
    server_.reset();
    collector_.reset();
    RecordingTest::TearDown();
  }
  void Serve() {
    auto server = Server::Start(options_, *collector_);
    ASSERT_THAT(server, IsOk());
    server_ = std::move(*server);
  }
  Result<channel::Answer> Ask(const Party& who, std::optional<Fingerprint> pinned = std::nullopt) {
    evidence::Challenge c;
    c.nonce = nonce_;
    return channel::ChallengeTls({.host = "127.0.0.1",
                                  .port = server_->port(),
                                  .certificate_pem = who.certificate,
                                  .key_pem = who.key,
                                  .pinned = pinned.value_or(attester_.fingerprint),
                                  .timeout = 60s},
                                 c);
  }
  UniqueFd Connect() {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    return fd;
  }
  // What comes back for these bytes, sent as this party over TLS.
  Result<evidence::Message> Exchange(const Party& who, ByteView bytes) {
    channel::Deadline deadline(30s);
    ASSAY_ASSIGN(const SslCtxPtr context, channel::TlsClientContext({who.certificate, who.key}));
    const UniqueFd fd = Connect();
    ASSAY_ASSIGN(channel::TlsStream tls,
                 channel::TlsStream::Connect(context.get(), fd.get(), attester_.fingerprint, deadline));
    ASSAY_TRY(tls.Write(bytes, deadline));
    ASSAY_ASSIGN(const Bytes frame,
                 channel::ReceiveFrame([&](std::span<std::uint8_t> out) { return tls.Read(out, deadline); },
                                       evidence::kMaxEvidence));
    return evidence::DecodeMessage(frame, evidence::kMaxEvidence);
  }
  std::string RefusalFor(ByteView bytes) {
    const Result<evidence::Message> m = Exchange(verifier_, bytes);
    if (!m) return m.error().code();
    const auto* refusal = std::get_if<evidence::Refusal>(&*m);
    return refusal != nullptr ? std::string(ErrorCode::Of(refusal->code).name()) : "no refusal";
  }
  static std::string CodeOf(const Result<channel::Answer>& a) {
    if (a) return "answered";
    const auto* refused = a.error().As<channel::RefusedError>();
    return refused != nullptr ? std::string(ErrorCode::Of(refused->reason).name()) : a.error().code();
  }

  const Party attester_ = MakeParty("attester"), verifier_ = MakeParty("verifier"),
              lister_ = MakeParty("lister"), curious_ = MakeParty("curious"),
              stranger_ = MakeParty("stranger");
  const evidence::Nonce nonce_ = evidence::Nonce::Filled(0x11);
  std::unique_ptr<Collector> collector_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsTest, EachSeesWhatItsLevelShows) {
  Serve();
  const Result<channel::Answer> full = Ask(verifier_);
  ASSERT_THAT(full, IsOk());
  EXPECT_FALSE(full->evidence.list.empty());
  EXPECT_EQ(evidence::ParseContext(full->evidence.context)->size(), 5U);
  EXPECT_EQ(full->binding.type, "tls-exporter");
  EXPECT_EQ(full->peer, attester_.fingerprint.ToString());
  // The quote is over exactly what came, for this connection.
  const tpm::Quote quote = tpm::ParseQuote(full->evidence.attest).value();
  EXPECT_EQ(quote.extra_data,
            evidence::Qualifying(nonce_, full->binding, full->evidence.claims, full->evidence.context));
  EXPECT_FALSE(evidence::ParseClaims(full->evidence.claims)->checkpoints.empty());

  const Result<channel::Answer> list = Ask(lister_);
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(list->evidence.list, full->evidence.list);
  EXPECT_TRUE(list->evidence.context.empty());

  const Result<channel::Answer> quote_only = Ask(curious_);
  ASSERT_THAT(quote_only, IsOk());
  EXPECT_TRUE(quote_only->evidence.list.empty());
  EXPECT_TRUE(quote_only->evidence.context.empty());
  EXPECT_TRUE(quote_only->evidence.event_log.empty());
  EXPECT_TRUE(evidence::ParseClaims(quote_only->evidence.claims)->checkpoints.empty());

  EXPECT_EQ(CodeOf(Ask(stranger_)), "forbidden");
}

TEST_F(TlsTest, LongListsTravelWhole) {
  for (int i = 0; i < 20'000; ++i) {
    const std::string path = "/opt/" + std::string(200, 'x') + std::to_string(i);
    ASSERT_THAT(recorder_->Record({Hash(HashAlg::kSha256, AsBytes(path)), path, {}}), IsOk());
  }
  Serve();
  const Result<channel::Answer> answer = Ask(verifier_);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->evidence.list, ReadFile(dir_ + "/list/list", 64 << 20).value());
  EXPECT_EQ(evidence::ParseContext(answer->evidence.context)->size(), 20'005U);
}

TEST_F(TlsTest, AnotherCertificateThanThePinnedOneIsRefused) {
  Serve();
  EXPECT_EQ(CodeOf(Ask(verifier_, stranger_.fingerprint)), "attest.wrong-peer");
}

// The handshake of a client that is made by hand: what it ends with.
std::string HandshakeEnds(int fd, SSL_CTX* context) {
  fcntl(fd, F_SETFL, 0);
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const SslPtr ssl(SSL_new(context));
  SSL_set_fd(ssl.get(), fd);
  char byte = 0;
  if (SSL_connect(ssl.get()) == 1 && SSL_read(ssl.get(), &byte, 1) == 1) return "it was let in";
  return OpenSslError("ended").Message();
}

TEST_F(TlsTest, NoCertificateNoAnswer) {
  Serve();
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  EXPECT_THAT(HandshakeEnds(Connect().get(), context.get()), ::testing::HasSubstr("certificate required"));
}

TEST_F(TlsTest, OlderThanTls13IsRefused) {
  Serve();
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  EXPECT_THAT(HandshakeEnds(Connect().get(), context.get()), ::testing::HasSubstr("protocol version"));
}

TEST_F(TlsTest, WhatIsNoChallengeIsRefusedByName) {
  Serve();
  EXPECT_EQ(RefusalFor(AsBytes("GET / HTTP/1.1\r\n\r\n")), "bad-request");
  EXPECT_EQ(RefusalFor(Writer().Put("ASY1").U32Be(1 << 20).Put(std::string(4000, '{')).bytes()),
            "bad-request");
  EXPECT_EQ(RefusalFor(Writer().Put("ASY1").U32Be(4).Put("{}{}").bytes()), "bad-request");
  EXPECT_EQ(RefusalFor(evidence::EncodeRefusal({evidence::RefusalCode::kBusy, "me too"})), "bad-request");
  EXPECT_EQ(RefusalFor(Bytes(200'000, 0xAA)), "bad-request") << "more than is read";
  evidence::Challenge c;
  c.nonce = nonce_;
  c.first_record = 1000;
  EXPECT_EQ(RefusalFor(evidence::EncodeChallenge(c)), "bad-request");
  c.first_record = 0;
  c.selection = {{.bank = 0x0012, .pcrs = {10}}};  // a bank that this TPM does not have
  EXPECT_EQ(RefusalFor(evidence::EncodeChallenge(c)), "bad-request");
  // Bytes that are no TLS at all.
  const UniqueFd fd = Connect();
  channel::Deadline deadline(20s);
  ASSERT_THAT(channel::SendAll(fd.get(), Bytes(100'000, 0x16), deadline), IsOk());
  EXPECT_EQ(server_->Network()->restarts, 0U);
  EXPECT_THAT(Ask(verifier_), IsOk());
}

TEST_F(TlsTest, SlowOnesMakeRoomForOthers) {
  options_.max_connections = 4;
  Serve();
  std::vector<UniqueFd> idle;
  idle.reserve(12);
  for (int i = 0; i < 12; ++i) idle.push_back(Connect());
  const auto began = std::chrono::steady_clock::now();
  const Result<channel::Answer> answer = Ask(verifier_);
  EXPECT_THAT(answer, IsOk());
  EXPECT_LT(std::chrono::steady_clock::now() - began, 25s) << "served only when the others timed out";
}

// Connections of another user that say nothing hold up neither root nor other users.
TEST_F(TlsTest, SilentOnesOnTheUnixSocketMakeRoomForOthers) {
  options_.unix_path = dir_ + "/challenge.sock";
  chmod(dir_.c_str(), 0755);
  Serve();
  const auto connect_silently = [&] {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    options_.unix_path.copy(to.sun_path, sizeof(to.sun_path) - 1);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) fd.Reset();
    return fd;
  };
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  std::vector<pid_t> silent;
  for (const uid_t uid : {4711U, 4712U, 4713U, 4714U, 4715U}) {
    silent.push_back(fork());
    if (silent.back() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setgid(uid) != 0 || setuid(uid) != 0) _exit(1);
    std::vector<UniqueFd> held;
    for (int i = 0; i < 64; ++i) {
      held.push_back(connect_silently());
      usleep(2000);
    }
    if (write(ready[1], "+", 1) != 1) _exit(1);
    pause();
  }
  char all[5];
  for (std::size_t i = 0; i < sizeof(all);)
    i += static_cast<std::size_t>(std::max<ssize_t>(0, read(ready[0], all, sizeof(all) - i)));
  const auto ask = [&] {
    evidence::Challenge c;
    c.nonce = nonce_;
    return channel::ChallengeUnix(options_.unix_path, c);
  };
  const auto began = std::chrono::steady_clock::now();
  const Result<channel::Answer> answer = ask();
  EXPECT_THAT(answer, IsOk());
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  usleep(1'200'000);
  const pid_t another = fork();
  if (another == 0) {
    if (setgid(4716) != 0 || setuid(4716) != 0) _exit(1);
    _exit(ask() ? 0 : 2);
  }
  int status = 0;
  waitpid(another, &status, 0);
  EXPECT_EQ(status, 0) << "another user is locked out";
  for (const pid_t pid : silent) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

TEST_F(TlsTest, ASlowOneIsCutOff) {
  options_.timeout = 2s;
  Serve();
  const UniqueFd fd = Connect();
  // A byte now and then does not lengthen its time: a record's header, and no more.
  const std::string drops("\x16\x03\x01\x01\xF0\x01\x00\x01\xEC\x03", 10);
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; std::chrono::steady_clock::now() - began < 20s; ++i) {
    const char byte = i < drops.size() ? drops[i] : '\x03';
    if (send(fd.get(), &byte, 1, MSG_NOSIGNAL) < 0) break;
    std::this_thread::sleep_for(200ms);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 15s);
  EXPECT_THAT(Ask(verifier_), IsOk());
}

TEST_F(TlsTest, AKilledNetworkProcessIsReplacedAndReported) {
  Serve();
  const pid_t first = server_->network_pid();
  ASSERT_GT(first, 0);
  ASSERT_EQ(kill(first, SIGKILL), 0);
  NetworkState state;
  for (int i = 0; i < 300; ++i) {
    state = *server_->Network();
    if (state.restarts == 1 && state.serving) break;
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_EQ(state.restarts, 1U);
  EXPECT_NE(state.pid, first);
  EXPECT_THAT(state.last_end, ::testing::HasSubstr("killed by signal 9"));
  EXPECT_THAT(Ask(verifier_), IsOk());
}

TEST_F(TlsTest, TheNetworkProcessHasNothing) {
  Serve();
  const pid_t pid = server_->network_pid();
  EXPECT_EQ(StatusLine(pid, "Uid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(StatusLine(pid, "Gid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(StatusLine(pid, "Groups"), " ") << "no supplementary groups";
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_EQ(StatusLine(pid, set), "0000000000000000") << set;
  EXPECT_EQ(StatusLine(pid, "Seccomp"), "2");
  EXPECT_EQ(StatusLine(pid, "NoNewPrivs"), "1");
  EXPECT_EQ(getsid(pid), pid);
  const std::string proc = "/proc/" + std::to_string(pid);
  // Each thread, not only the first one.
  for (const auto& task : std::filesystem::directory_iterator(proc + "/task")) {
    const pid_t tid = std::stoi(task.path().filename());
    EXPECT_EQ(StatusLine(tid, "Seccomp"), "2");
    EXPECT_EQ(StatusLine(tid, "CapEff"), "0000000000000000");
    EXPECT_EQ(StatusLine(tid, "NoNewPrivs"), "1");
  }
  for (const auto& fd : std::filesystem::directory_iterator(proc + "/fd")) {
    const std::string target = std::filesystem::read_symlink(fd.path());
    EXPECT_TRUE(target.starts_with("socket:") || target == "/dev/null") << target;
  }
  std::ifstream environment(proc + "/environ");
  EXPECT_EQ(environment.peek(), std::ifstream::traits_type::eof());
}

TEST_F(TlsTest, TheNetworkProcessDiesWithItsParent) {
  Serve();
  const pid_t pid = server_->network_pid();
  server_.reset();
  EXPECT_EQ(kill(pid, 0), -1);
}

// Whoever ends the verifier's TLS and opens a connection of its own has two exporters, and the quote names
// one.
TEST_F(TlsTest, EachConnectionHasItsOwnBinding) {
  Serve();
  const Result<channel::Answer> one = Ask(verifier_), two = Ask(verifier_);
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->binding.value, two->binding.value);

  // A relay between verifier and attester, with an allowed certificate towards the attester.
  const Party relay = verifier_;
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd left(sockets[0]), right(sockets[1]);
  Bytes asked, seen_by_verifier;
  std::thread verifier([&] {
    channel::Deadline deadline(30s);
    const SslCtxPtr context = channel::TlsClientContext({lister_.certificate, lister_.key}).value();
    auto tls = channel::TlsStream::Connect(context.get(), left.get(), relay.fingerprint, deadline);
    if (tls) seen_by_verifier = tls->exporter();
  });
  channel::Deadline deadline(30s);
  const SslCtxPtr context = channel::TlsServerContext({relay.certificate, relay.key}).value();
  auto tls = channel::TlsStream::Accept(context.get(), right.get(), deadline);
  verifier.join();
  ASSERT_THAT(tls, IsOk());
  const Result<channel::Answer> relayed = Ask(relay);
  ASSERT_THAT(relayed, IsOk());
  EXPECT_EQ(seen_by_verifier, tls->exporter());
  EXPECT_NE(seen_by_verifier, relayed->binding.value);
  const tpm::Quote quote = tpm::ParseQuote(relayed->evidence.attest).value();
  EXPECT_NE(quote.extra_data, evidence::Qualifying(nonce_, {"tls-exporter", seen_by_verifier},
                                                   relayed->evidence.claims, relayed->evidence.context));
}

TEST_F(TlsTest, WhatCanNotStartSaysWhy) {
  options_.net_program = dir_ + "/none";
  EXPECT_THAT(Server::Start(options_, *collector_), FailsWith("os.posix_spawn"));
  options_.net_program = "/bin/true";
  EXPECT_THAT(Server::Start(options_, *collector_), FailsWith("attest.net-start"));
  options_.net_program = TestBinaries() + "/assay-net";
  options_.key_pem = stranger_.key;
  const auto wrong_key = Server::Start(options_, *collector_);
  ASSERT_THAT(wrong_key, FailsWith("attest.net-start"));
  EXPECT_THAT(wrong_key.error().Message(), ::testing::HasSubstr("mismatch"));
  options_.listen_host = "localhost";
  EXPECT_THAT(Server::Start(options_, *collector_), FailsWith("usage"));
}

TEST_F(TlsTest, TheUnixSocketServesToo) {
  options_.unix_path = dir_ + "/challenge.sock";
  Serve();
  evidence::Challenge c;
  c.nonce = nonce_;
  const Result<channel::Answer> answer = channel::ChallengeUnix(options_.unix_path, c);
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->evidence.list.empty());
  c.first_record = 1000;
  EXPECT_EQ(CodeOf(channel::ChallengeUnix(options_.unix_path, c)), "bad-request");
}

// ---- What the sandbox forbids, tried out in children of the test.

template <typename Fn>
int InChild(Fn fn) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) _exit(fn(parent));
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(Sandbox, NoFileCanBeOpened) {
  const int status = InChild([](pid_t parent) {
    if (!DropPrivileges(65534, 65534, parent)) return 1;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0) return 2;  // before: everybody may
    const Result<std::uint32_t> abi = ForbidFiles();
    if (!abi) return 3;
    if (*abi == 0) return 77;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES) return 4;
    if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES) return 5;
    if (open("/tmp/assay-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES) return 6;
    execl("/bin/true", "true", nullptr);
    if (errno != EACCES) return 7;
    if (setuid(0) == 0) return 8;
    return 0;
  });
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Sandbox, AnyOtherSystemCallKills) {
  const auto try_it = [](auto call) {
    return InChild([call](pid_t) {
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !AllowOnlyServing()) return 1;
      call();
      return 0;
    });
  };
  const auto killed = [](int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; };
  EXPECT_EQ(try_it([] {}), 0);
  EXPECT_TRUE(killed(try_it([] { open("/etc/passwd", O_RDONLY | O_CLOEXEC); })));
  EXPECT_TRUE(killed(try_it([] { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); })));
  EXPECT_TRUE(killed(try_it([] { fork(); })));
  EXPECT_TRUE(killed(try_it([] { execl("/bin/true", "true", nullptr); })));
  EXPECT_TRUE(killed(try_it([] { kill(1, 0); })));
  EXPECT_TRUE(killed(
      try_it([] { return mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); })));
}

}  // namespace
}  // namespace assay::attest
