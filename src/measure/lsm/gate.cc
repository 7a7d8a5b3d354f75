#include "measure/lsm/gate.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "measure/lsm/embedded.h"
#include "measure/lsm/errors.h"
#include "measure/system/fuse.h"
#include "measure/system/served.h"

namespace assay::measure {
namespace {

constexpr fuse_ino_t kProgram = 2;
constexpr char kName[] = "assay-gate";  // what ps shows
constexpr double kForever = 1e6;        // seconds; nothing in this file system ever changes
constexpr int kReadyMs = 10'000;
constexpr int kGo = 6;       // the descriptor after the three that the gate gets
constexpr int kHighFd = 10;  // above them

// The user data of the FUSE callbacks.
struct Session {
  FuseSessionPtr fuse;
  std::function<void(pid_t, GateReply, bool)> ask;
  std::atomic<unsigned> reading{0};  // threads that wait for questions
  std::weak_ptr<Session> self;
};

struct stat Attributes(fuse_ino_t inode) {
  struct stat st{};
  st.st_ino = inode;
  st.st_nlink = 1;
  if (inode == kProgram) {
    st.st_mode = S_IFREG | 0555;
    st.st_size = static_cast<off_t>(EmbeddedGateProgram().size());
  } else {
    st.st_mode = S_IFDIR | 0555;
  }
  return st;
}

void OnInit(void*, fuse_conn_info* connection) {
  // Splicing needs a pipe for each thread and gains nothing for answers of 40 bytes.
  connection->want &=
      ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

void OnLookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  if (parent != FUSE_ROOT_ID || std::strcmp(name, kName) != 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kProgram;
  entry.attr = Attributes(kProgram);
  entry.attr_timeout = entry.entry_timeout = kForever;
  fuse_reply_entry(request, &entry);
}

void OnGetAttr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat st = Attributes(inode);
  fuse_reply_attr(request, &st, kForever);
}

void OnOpen(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  file->keep_cache = 1;
  file->noflush = 1;  // a process that has it open can close it when no gate answers any more
  fuse_reply_open(request, file);
}

void OnRead(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
  const ByteView program = EmbeddedGateProgram();
  const std::size_t at = std::min(static_cast<std::size_t>(offset), program.size());
  const ByteView part = program.subspan(at, std::min(size, program.size() - at));
  fuse_reply_buf(request, reinterpret_cast<const char*>(part.data()), part.size());
}

void OnGetXattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size) {
  if (inode != kProgram || std::strcmp(name, ASSAY_XATTR) != 0 || size < sizeof(assay_answer)) {
    fuse_reply_err(request, ENODATA);
    return;
  }
  auto* session = static_cast<Session*>(fuse_req_userdata(request));
  session->ask(fuse_req_ctx(request)->pid, GateReply(request, session->self.lock()), session->reading == 0);
}

Result<UniqueFd> HighCopy(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, kHighFd);
  if (copy < 0) return Fail(OsError("fcntl", "F_DUPFD_CLOEXEC", errno));
  return UniqueFd(copy);
}

// Sockets and not pipes, because send() can be told to raise no SIGPIPE.
struct Pair {
  UniqueFd ours, theirs;
};
Result<Pair> MakePair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return Fail(OsError("socketpair", "", errno));
  return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

GateReply::~GateReply() {
  if (request_ != nullptr) fuse_reply_err(static_cast<fuse_req_t>(request_), EIO);
}

void GateReply::Answer(const assay_answer& answer) {
  if (request_ == nullptr) return;
  fuse_reply_buf(static_cast<fuse_req_t>(std::exchange(request_, nullptr)),
                 reinterpret_cast<const char*>(&answer), sizeof(answer));
}

struct Gate::Impl {
  GateOptions options;
  std::shared_ptr<Session> session = std::make_shared<Session>();
  UniqueFd abort, beat;
  std::vector<Thread> readers;
  std::atomic<bool> ended{false};
  bool mounted = false;
  pid_t pid = -1;

  Result<> Mount();
  Result<> OpenAbort();
  Result<> StartProcess();
  void ReadLoop();
};

// The mount call passes the descriptor to the kernel; libfuse takes it over by its name.
Result<> Gate::Impl::Mount() {
  // An attester that was killed while it started its gate has left its mount here. MNT_FORCE, because no
  // process answers on that mount.
  while (umount2(options.dir.c_str(), MNT_FORCE | MNT_DETACH) == 0) continue;
  ASSAY_TRY(MakeDirs(options.dir, 0700));
  ASSAY_ASSIGN(UniqueFd device, Open("/dev/fuse", O_RDWR));
  // allow_other: the kernel asks in the name of every user.
  const std::string how =
      "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  if (mount("assay-gate", options.dir.c_str(), "fuse", MS_NOSUID | MS_NODEV, how.c_str()) != 0)
    return Fail(OsError("mount", options.dir + " as fuse", errno));
  mounted = true;
  char program[] = "assay";
  char* argv[] = {program, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, argv);
  fuse_lowlevel_ops operations{};
  operations.init = OnInit;
  operations.lookup = OnLookup;
  operations.getattr = OnGetAttr;
  operations.open = OnOpen;
  operations.read = OnRead;
  operations.getxattr = OnGetXattr;
  session->self = session;
  session->ask = options.ask;
  session->fuse = NewFuseSession(args, operations, session.get());
  if (!session->fuse) return Fail(LibError("fuse", "fuse_session_new failed"));
  const std::string name = "/dev/fd/" + std::to_string(device.get());
  if (fuse_session_mount(session->fuse.get(), name.c_str()) != 0)
    return Fail(LibError("fuse", "fuse_session_mount failed"));
  static_cast<void>(device.Release());  // the session owns it now
  return {};
}

// A write to this file ends the connection. The gate does so if this process is stopped, and so does the
// destructor.
Result<> Gate::Impl::OpenAbort() {
  // AT_STATX_DONT_SYNC, so that this process asks itself nothing. If it were killed while it waited for its
  // own answer, it would never end: no process is left to answer, and the connection closes only when the
  // process has ended.
  struct statx st{};
  if (statx(AT_FDCWD, options.dir.c_str(), AT_STATX_DONT_SYNC, 0, &st) != 0)
    return Fail(OsError("statx", options.dir, errno));
  ASSAY_ASSIGN(abort, OpenFuseAbort(makedev(st.stx_dev_major, st.stx_dev_minor)));
  return {};
}

Result<> Gate::Impl::StartProcess() {
  ASSAY_ASSIGN(Pair beats, MakePair());
  ASSAY_ASSIGN(Pair ready, MakePair());
  ASSAY_ASSIGN(Pair go, MakePair());
  ASSAY_ASSIGN(const UniqueFd child_beat, HighCopy(beats.theirs.get()));
  ASSAY_ASSIGN(const UniqueFd child_abort, HighCopy(abort.get()));
  ASSAY_ASSIGN(UniqueFd child_ready, HighCopy(ready.theirs.get()));
  ASSAY_ASSIGN(const UniqueFd child_go, HighCopy(go.theirs.get()));
  const std::string path = options.dir + "/" + kName;
  const std::string limit = std::to_string(options.limit.count());
  char name[] = "assay-gate";
  char* const argv[] = {name, const_cast<char*>(limit.c_str()), nullptr};
  char* const environment[] = {nullptr};
  pid = fork();
  if (pid < 0) return Fail(OsError("fork", "", errno));
  if (pid == 0) {
    // Only async-signal-safe calls from here on. The child waits until it is marked.
    char byte = 0;
    if (dup2(child_beat.get(), 3) < 0 || dup2(child_abort.get(), 4) < 0 || dup2(child_ready.get(), 5) < 0 ||
        dup2(child_go.get(), kGo) < 0)
      _exit(1);
    // All other descriptors are closed before the child waits. With a copy of the parent's end it would go on
    // waiting after the parent's death, and hold the parent's locks. With a copy of the connection its exec,
    // which needs the parent's answers, would wait for ever as well.
    if (close_range(kGo + 1, ~0U, 0) != 0) _exit(1);
    if (read(kGo, &byte, 1) != 1) _exit(1);
    close(kGo);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execve(path.c_str(), argv, environment);
    _exit(1);
  }
  ready.theirs.Reset();
  ASSAY_TRY(options.mark(pid));
  // When memory runs out, the kernel must not choose this process.
  if (Result<UniqueFd> score = Open("/proc/" + std::to_string(pid) + "/oom_score_adj", O_WRONLY); score) {
    if (Result<> r = WriteAll(score->get(), AsBytes("-1000")); !r) log::Warn("gate: {}", r.error().Message());
  }
  ASSAY_TRY(WriteAll(go.ours.get(), AsBytes("g")));
  // The child now has the only copy, so the read below returns when the child reports or ends.
  child_ready.Reset();
  pollfd wait{ready.ours.get(), POLLIN, 0};
  char byte = 0;
  if (poll(&wait, 1, kReadyMs) <= 0 || read(ready.ours.get(), &byte, 1) != 1)
    return Fail(StateError(LsmError::kGate, "the gate process did not start"));
  beat = std::move(beats.ours);
  return {};
}

void Gate::Impl::ReadLoop() {
  FuseBuffer buffer;
  while (fuse_session_exited(session->fuse.get()) == 0) {
    ++session->reading;
    const int n = fuse_session_receive_buf(session->fuse.get(), &buffer.buf);
    --session->reading;
    if (n == -EINTR) continue;
    if (n <= 0) break;
    fuse_session_process_buf(session->fuse.get(), &buffer.buf);
  }
  ended = true;
}

Gate::Gate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Gate>> Gate::Start(GateOptions options) {
  auto impl = std::make_unique<Impl>();
  Impl& d = *impl;
  std::unique_ptr<Gate> gate(new Gate(std::move(impl)));  // from here on what was started is also stopped
  d.options = std::move(options);
  ASSAY_TRY(d.Mount());
  for (unsigned i = 0; i < std::max(1U, d.options.readers); ++i)
    d.readers.push_back(Thread("assay-gate", [&d] { d.ReadLoop(); }));
  ASSAY_TRY(d.OpenAbort());
  ASSAY_TRY(d.StartProcess());
  // The gate's process keeps the file system; the mount is detached, so that no other process finds it.
  if (umount2(d.options.dir.c_str(), MNT_DETACH) != 0) return Fail(OsError("umount2", d.options.dir, errno));
  d.mounted = false;
  return gate;
}

Gate::~Gate() {
  Impl& d = *impl_;
  d.beat.Reset();  // the process ends
  if (d.abort && write(d.abort.get(), "1", 1) != 1) log::Debug("gate: the connection is gone already");
  if (d.mounted) umount2(d.options.dir.c_str(), MNT_FORCE | MNT_DETACH);  // MNT_FORCE ends the connection too
  if (d.pid > 0) {
    kill(d.pid, SIGKILL);
    waitpid(d.pid, nullptr, 0);
  }
  d.readers.clear();  // waits for them
}

pid_t Gate::pid() const { return impl_->pid; }

bool Gate::Alive() const {
  Impl& d = *impl_;
  if (d.pid > 0 && waitpid(d.pid, nullptr, WNOHANG) == d.pid) d.pid = -1;  // the number may be reused
  return !d.ended && d.pid > 0;
}

void Gate::Beat() {
  const char byte = 'b';
  // If the socket is full, the gate has enough beats to read; a broken socket is noticed by Alive().
  if (impl_->beat && send(impl_->beat.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN &&
      errno != EPIPE)
    log::Error("gate: {}", OsError("send", "beat", errno).Message());
}

}  // namespace assay::measure
