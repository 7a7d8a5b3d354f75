#include "measure/node/fs.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "base/event_fd.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "measure/lists/list_view.h"
#include "measure/node/errors.h"
#include "measure/node/measure_pool.h"
#include "measure/node/measure_request.h"
#include "measure/system/fuse.h"
#include "measure/system/mounts.h"
#include "measure/system/rights.h"

namespace assay::measure {
namespace {

constexpr unsigned kThreads = 4;
constexpr std::size_t kMaxHandles = 8192, kMaxHandlesPerUser = 2048;  // of users other than root
// Bytes of requests that one write can bring; a longer one is shorter than it was asked to be. Thousands of
// writes may wait at a time, and the shortest lines take ten times their memory.
constexpr std::size_t kMaxRequests = kMaxRequestLine + 1;
constexpr int kMaxStale = 16;
// Seconds that the kernel may cache names and attributes, also after our death.
constexpr double kRemember = 1;
constexpr fuse_ino_t kFirstNode = FUSE_ROOT_ID + 1;
// Each lookup of `measure` returns another inode. The kernel lets only one writer write to an inode at a
// time, and a caller must not wait for the slow file of another caller.
constexpr fuse_ino_t kFirstMeasure = fuse_ino_t{1} << 32;

enum class What { kList, kCount, kViolations, kPolicy, kRefusals, kStatus, kMetrics, kMeasure };
struct Node {
  std::string name;
  mode_t mode;
  What what;
  ListKind list;
};

// One open file.
struct Handle {
  const Node* node = nullptr;
  uid_t uid = 0;         // of the process that opened it
  bool governs = false;  // the process that opened it may decide what is measured
  std::string content;   // of a small file, at the time of the open
  Mutex mutex;           // of what is read from `view`, too, which is set when the file is opened
  std::optional<ListView> view;
  LineSplitter splitter ASSAY_GUARDED_BY(mutex);
  std::string policy ASSAY_GUARDED_BY(mutex);    // the text that was written through this handle so far
  bool judged = false;                           // `measure` is open for reading too
  std::string verdicts ASSAY_GUARDED_BY(mutex);  // of the last write, as far as they are not read yet
  std::atomic<std::uint64_t> seen{0};            // end of the list when it was last read to its end
  FusePollPtr poll;  // of the process that waits for growth; guarded by Impl::mutex
};

}  // namespace

struct Fs::Impl {
  FsOptions options;
  ListSource* source = nullptr;
  Recorder* recorder = nullptr;
  UniqueFd list;
  EventFd stop;
  std::vector<Node> nodes;
  timespec since{};
  std::atomic<fuse_ino_t> next_measure{kFirstMeasure};
  Mutex mutex;  // of each handle's `poll`, too
  std::uint64_t next_handle ASSAY_GUARDED_BY(mutex) = 1;
  std::map<std::uint64_t, std::shared_ptr<Handle>> handles ASSAY_GUARDED_BY(mutex);
  std::map<uid_t, std::size_t> handles_of ASSAY_GUARDED_BY(mutex);    // users other than root, without zeros
  std::set<std::shared_ptr<Handle>> waiting ASSAY_GUARDED_BY(mutex);  // handles that wait for growth
  std::unique_ptr<MeasurePool> pool;
  FuseSessionPtr session;
  bool mounted = false;
  dev_t device_number = 0;
  std::vector<Thread> threads;

  ~Impl();
  void AddNodes();
  Result<> MountIt();
  Result<> TakeAwayStale() const;
  void Serve();
  void WatchGrowth();
  const Node* NodeOf(fuse_ino_t ino) const;
  std::shared_ptr<Handle> HandleOf(const fuse_file_info* fi);
  std::optional<std::uint64_t> AddHandle(std::shared_ptr<Handle> handle);  // none: there are too many
  void RemoveHandle(std::uint64_t number);
  struct stat AttributesOf(fuse_ino_t ino) const;
  std::string SmallContent(What what) const;
};

// ---- Names

void Fs::Impl::AddNodes() {
  const mode_t readable = options.world_readable ? 0444 : 0440;
  const auto lists = [&](HashAlg bank, const std::string& suffix) {
    nodes.push_back({"ascii_runtime_measurements" + suffix,
                     readable,
                     What::kList,
                     {.bank = bank, .form = ListForm::kAscii}});
    nodes.push_back({"binary_runtime_measurements" + suffix,
                     readable,
                     What::kList,
                     {.bank = bank, .form = ListForm::kBinary}});
  };
  lists(HashAlg::kSha1, "");
  for (const HashAlg bank : options.banks) lists(bank, "_" + std::string(HashName(bank)));
  nodes.push_back({"runtime_measurements_count", readable, What::kCount, {}});
  nodes.push_back({"violations", readable, What::kViolations, {}});
  nodes.push_back({"policy", options.load ? readable | 0200 : readable, What::kPolicy, {}});
  nodes.push_back({"refusals", readable, What::kRefusals, {}});
  nodes.push_back({"status", 0444, What::kStatus, {}});
  nodes.push_back({"metrics", 0444, What::kMetrics, {}});
  nodes.push_back({"measure", 0666, What::kMeasure, {}});
}

const Node* Fs::Impl::NodeOf(fuse_ino_t ino) const {
  if (ino >= kFirstMeasure) return &nodes.back();
  return ino >= kFirstNode && ino - kFirstNode < nodes.size() ? &nodes[ino - kFirstNode] : nullptr;
}

std::shared_ptr<Handle> Fs::Impl::HandleOf(const fuse_file_info* fi) {
  const MutexLock lock(mutex);
  return handles.at(fi->fh);
}

std::optional<std::uint64_t> Fs::Impl::AddHandle(std::shared_ptr<Handle> handle) {
  const MutexLock lock(mutex);
  if (const uid_t uid = handle->uid; uid != 0) {
    const auto of = handles_of.find(uid);
    if (handles.size() >= kMaxHandles || (of != handles_of.end() && of->second >= kMaxHandlesPerUser))
      return std::nullopt;
    ++handles_of[uid];
  }
  handles.emplace(next_handle, std::move(handle));
  return next_handle++;
}

void Fs::Impl::RemoveHandle(std::uint64_t number) {
  const MutexLock lock(mutex);
  const auto at = handles.find(number);
  if (const auto of = handles_of.find(at->second->uid); of != handles_of.end() && --of->second == 0)
    handles_of.erase(of);
  waiting.erase(at->second);
  handles.erase(at);
}

struct stat Fs::Impl::AttributesOf(fuse_ino_t ino) const {
  struct stat st{};
  st.st_ino = ino >= kFirstMeasure ? kFirstNode + nodes.size() - 1 : ino;
  const Node* node = NodeOf(ino);
  st.st_mode = node != nullptr ? S_IFREG | node->mode : S_IFDIR | 0555;
  st.st_nlink = node != nullptr ? 1 : 2;
  st.st_atim = st.st_mtim = st.st_ctim = since;
  return st;
}

std::string Fs::Impl::SmallContent(What what) const {
  switch (what) {
    case What::kCount:
      return fmt::format("{}\n", source->State().count);
    case What::kViolations:
      return fmt::format("{}\n", source->State().violations);
    case What::kPolicy:
      return options.policy ? options.policy() : std::string();
    case What::kRefusals:
      return options.refusals ? options.refusals() : std::string();
    case What::kStatus:
      return options.status ? options.status() : std::string();
    case What::kMetrics:
      return options.metrics ? options.metrics() : std::string();
    case What::kList:
    case What::kMeasure:
      break;
  }
  return {};
}

// ---- Requests

namespace {

Fs::Impl& ImplOf(fuse_req_t req) { return *static_cast<Fs::Impl*>(fuse_req_userdata(req)); }

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Fs::Impl& fs = ImplOf(req);
  for (std::size_t i = 0; parent == FUSE_ROOT_ID && i < fs.nodes.size(); ++i) {
    if (fs.nodes[i].name != name) continue;
    const bool measure = fs.nodes[i].what == What::kMeasure;
    fuse_entry_param e{};
    e.ino = measure ? fs.next_measure++ : kFirstNode + i;
    e.attr = fs.AttributesOf(e.ino);
    e.attr_timeout = kRemember;
    e.entry_timeout = measure ? 0 : kRemember;
    fuse_reply_entry(req, &e);
    return;
  }
  fuse_reply_err(req, ENOENT);
}

void GetAttr(fuse_req_t req, fuse_ino_t ino, fuse_file_info* /*fi*/) {
  const struct stat st = ImplOf(req).AttributesOf(ino);
  fuse_reply_attr(req, &st, kRemember);
}

// A shell's `>` truncates the file first. This is the only change of attributes that is accepted.
void SetAttr(fuse_req_t req, fuse_ino_t ino, struct stat* /*attr*/, int to_set, fuse_file_info* fi) {
  const Node* node = ImplOf(req).NodeOf(ino);
  constexpr int kOfTruncation =
      FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME;
  if (node == nullptr || (node->mode & 0222) == 0 || (to_set & ~kOfTruncation) != 0)
    fuse_reply_err(req, EPERM);
  else
    GetAttr(req, ino, fi);
}

void ReadDir(fuse_req_t req, fuse_ino_t /*ino*/, std::size_t size, off_t offset, fuse_file_info* /*fi*/) {
  const Fs::Impl& fs = ImplOf(req);
  std::string out(size, '\0');
  std::size_t used = 0;
  for (auto i = static_cast<std::size_t>(offset); i < fs.nodes.size() + 2; ++i) {
    const std::string name = i == 0 ? "." : i == 1 ? ".." : fs.nodes[i - 2].name;
    const struct stat st = fs.AttributesOf(i < 2 ? FUSE_ROOT_ID : kFirstNode + i - 2);
    const std::size_t n =
        fuse_add_direntry(req, out.data() + used, size - used, name.c_str(), &st, static_cast<off_t>(i + 1));
    if (n > size - used) break;
    used += n;
  }
  fuse_reply_buf(req, out.data(), used);
}

void Open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  Fs::Impl& fs = ImplOf(req);
  const Node* node = fs.NodeOf(ino);
  const uid_t uid = fuse_req_ctx(req)->uid;
  const int access = fi->flags & O_ACCMODE;
  // A file can be opened for reading or for writing, as its mode allows, and only `measure` for both: its
  // content is the answer to what is written.
  const bool measure = node != nullptr && node->what == What::kMeasure;
  if (node == nullptr || access == (measure ? O_RDONLY : O_RDWR) ||
      (node->mode & (access == O_RDONLY ? 0444 : 0222)) == 0) {
    fuse_reply_err(req, node == nullptr ? EISDIR : EACCES);
    return;
  }
  auto handle = std::make_shared<Handle>();
  handle->node = node;
  handle->uid = uid;
  handle->judged = measure && access == O_RDWR;
  handle->governs = node->what == What::kPolicy && access == O_WRONLY && Governs(fuse_req_ctx(req)->pid);
  handle->content = fs.SmallContent(node->what);
  if (node->what == What::kList) handle->view.emplace(fs.list.get(), fs.source->ListBank(), node->list);
  const std::optional<std::uint64_t> number = fs.AddHandle(std::move(handle));
  if (!number) {
    fuse_reply_err(req, ENFILE);
    return;
  }
  fi->fh = *number;
  fi->direct_io = 1;  // the size is not known in advance
  fi->nonseekable = access == O_RDONLY ? 0 : 1;
  if (fuse_reply_open(req, fi) != 0) fs.RemoveHandle(*number);  // it was interrupted: no release will come
}

void Release(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* fi) {
  ImplOf(req).RemoveHandle(fi->fh);
  fuse_reply_err(req, 0);
}

// What was read is gone, as from a socket: writes have moved the offset, so it tells nothing.
void ReadVerdicts(fuse_req_t req, Handle& handle, std::size_t size) {
  std::string part;
  {
    const MutexLock lock(handle.mutex);
    part = handle.verdicts.substr(0, size);
    handle.verdicts.erase(0, part.size());
  }
  fuse_reply_buf(req, part.data(), part.size());
}

void Read(fuse_req_t req, fuse_ino_t /*ino*/, std::size_t size, off_t offset, fuse_file_info* fi) {
  Fs::Impl& fs = ImplOf(req);
  const std::shared_ptr<Handle> handle = ImplOf(req).HandleOf(fi);
  const auto at = static_cast<std::uint64_t>(offset);
  if (handle->node->what == What::kMeasure) {
    ReadVerdicts(req, *handle, size);
    return;
  }
  if (!handle->view) {
    const std::string_view rest =
        std::string_view(handle->content).substr(std::min(at, handle->content.size()));
    fuse_reply_buf(req, rest.data(), std::min(size, rest.size()));
    return;
  }
  Result<Bytes> part;
  {
    const MutexLock lock(handle->mutex);
    const std::uint64_t end = fs.source->State().list_bytes;
    part = handle->view->Read(at, size, end);
    if (part && part->size() < size) handle->seen = end;
  }
  if (part) {
    fuse_reply_buf(req, reinterpret_cast<const char*>(part->data()), part->size());
  } else {
    log::Error("reading {}: {}", handle->node->name, part.error().Message());
    fuse_reply_err(req, EIO);
  }
}

// Each write loads the text that was written so far as the policy, so that the write itself fails if the text
// is wrong: many programs ignore an error of close(). Shells write line by line.
void WritePolicy(fuse_req_t req, Handle& handle, std::string_view text) {
  Fs::Impl& fs = ImplOf(req);
  if (!handle.governs || !Governs(fuse_req_ctx(req)->pid)) {
    fuse_reply_err(req, EPERM);
    return;
  }
  Result<> loaded;
  {
    const MutexLock lock(handle.mutex);
    const std::string all = handle.policy + std::string(text);
    loaded = fs.options.load(all);
    if (loaded) handle.policy = all;
  }
  if (loaded) {
    fuse_reply_write(req, text.size());
    return;
  }
  log::Error("the new policy is not accepted: {}", loaded.error().Message());
  fuse_reply_err(req, EINVAL);
}

void Write(fuse_req_t req, fuse_ino_t /*ino*/, const char* data, std::size_t size, off_t /*offset*/,
           fuse_file_info* fi) {
  Fs::Impl& fs = ImplOf(req);
  const std::shared_ptr<Handle> handle = ImplOf(req).HandleOf(fi);
  const fuse_ctx* ctx = fuse_req_ctx(req);
  if (handle->node->what == What::kPolicy) {
    WritePolicy(req, *handle, {data, size});
    return;
  }
  // The node was opened by a process of another user and passed on: a program with more rights could write
  // its messages to it without knowing.
  if (handle->node->what != What::kMeasure || ctx->uid != handle->uid) {
    fuse_reply_err(req, EPERM);
    return;
  }
  size = std::min(size, kMaxRequests);
  Result<std::vector<RequestLine>> lines;
  {
    const MutexLock lock(handle->mutex);
    lines = handle->splitter.Take({data, size});
    handle->verdicts.clear();
  }
  if (!lines) {
    fuse_reply_err(req, ENAMETOOLONG);
    return;
  }
  if (lines->empty()) {
    fuse_reply_write(req, size);
    return;
  }
  if (!fs.pool) {
    fuse_reply_err(req, EOPNOTSUPP);  // the kernel records and accepts no requests
    return;
  }
  std::vector<std::size_t> ends;
  for (const RequestLine& line : *lines) ends.push_back(line.end);
  // A line that fails ends the write after the lines before it. The caller then writes the rest again and
  // gets the error.
  auto answer = [req, handle, ends, size](std::size_t done, int error, const std::string& verdicts) {
    {
      const MutexLock lock(handle->mutex);
      handle->verdicts = verdicts;
      if (error != 0) handle->splitter.Forget();
    }
    if (error == 0) {
      fuse_reply_write(req, size);
      return;
    }
    if (done > 0)
      fuse_reply_write(req, ends[done - 1]);
    else
      fuse_reply_err(req, error);
  };
  fs.pool->Submit({.tid = ctx->pid, .uid = ctx->uid}, std::move(*lines), handle->judged, std::move(answer));
}

void Flush(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* fi) {
  const std::shared_ptr<Handle> handle = ImplOf(req).HandleOf(fi);
  bool unfinished = false;
  {
    const MutexLock lock(handle->mutex);
    unfinished = handle->splitter.unfinished();
  }
  fuse_reply_err(req, unfinished ? ENODATA : 0);
}

void Poll(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* fi, fuse_pollhandle* ph) {
  Fs::Impl& fs = ImplOf(req);
  const std::shared_ptr<Handle> handle = ImplOf(req).HandleOf(fi);
  FusePollPtr poll(ph);
  if (handle->node->what == What::kMeasure) {
    const MutexLock lock(handle->mutex);
    fuse_reply_poll(req, POLLOUT | POLLWRNORM | (handle->verdicts.empty() ? 0U : POLLIN | POLLRDNORM));
    return;
  }
  if (handle->view) {
    if (poll) {  // set before the state is read, so that growth in between wakes the poller
      const MutexLock lock(fs.mutex);
      handle->poll = std::move(poll);
      fs.waiting.insert(handle);
    }
    if (fs.source->State().list_bytes <= handle->seen) {
      fuse_reply_poll(req, 0);
      return;
    }
  }
  fuse_reply_poll(req, POLLIN | POLLRDNORM);
}

void StatFs(fuse_req_t req, fuse_ino_t /*ino*/) {
  struct statvfs st{};
  st.f_bsize = st.f_frsize = 4096;
  st.f_files = ImplOf(req).nodes.size() + 1;
  st.f_namemax = 255;
  fuse_reply_statfs(req, &st);
}

fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops ops{};
  ops.lookup = Lookup;
  ops.getattr = GetAttr;
  ops.setattr = SetAttr;
  ops.readdir = ReadDir;
  ops.open = Open;
  ops.release = Release;
  ops.read = Read;
  ops.write = Write;
  ops.flush = Flush;
  ops.poll = Poll;
  ops.statfs = StatFs;
  return ops;
}

}  // namespace

// ---- Threads

// A loop of our own instead of libfuse's: it ends on request, without an unmount that could wait for other
// processes.
void Fs::Impl::Serve() {
  FuseBuffer buffer;
  while (fuse_session_exited(session.get()) == 0) {
    std::array<pollfd, 2> wait{pollfd{fuse_session_fd(session.get()), POLLIN, 0},
                               pollfd{stop.get(), POLLIN, 0}};
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) {
      log::Error("{}", OsError("poll", options.mount_point, errno).Message());
      return;
    }
    if (wait[1].revents != 0) return;
    const int n = fuse_session_receive_buf(session.get(), &buffer.buf);
    if (n == -EINTR || n == -EAGAIN) continue;  // another thread got the request
    if (n <= 0) return;                         // another process has unmounted it
    fuse_session_process_buf(session.get(), &buffer.buf);
  }
}

void Fs::Impl::WatchGrowth() {
  while (true) {
    std::array<pollfd, 2> wait{pollfd{source->GrowthFd(), POLLIN, 0}, pollfd{stop.get(), POLLIN, 0}};
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) {
      log::Error("{}", OsError("poll", "growth", errno).Message());
      return;
    }
    if (wait[1].revents != 0) return;
    std::uint64_t grown = 0;
    if (::read(source->GrowthFd(), &grown, sizeof(grown)) != sizeof(grown)) continue;
    const MutexLock lock(mutex);
    for (const std::shared_ptr<Handle>& handle : waiting) {
      fuse_lowlevel_notify_poll(handle->poll.get());
      handle->poll.reset();
    }
    waiting.clear();
  }
}

// ---- Mounting

// Removes the mount that a killed attester left. The mount of a running one is kept.
Result<> Fs::Impl::TakeAwayStale() const {
  struct statvfs st{};  // always makes a request to the server; stat() may be answered from the cache
  for (int i = 0; i < kMaxStale && statvfs(options.mount_point.c_str(), &st) != 0 && errno == ENOTCONN; ++i) {
    log::Info("{}: the file system of a killed attester is unmounted", options.mount_point);
    if (umount2(options.mount_point.c_str(), MNT_DETACH) != 0)
      return Fail(OsError("umount2", options.mount_point, errno));
  }
  ASSAY_ASSIGN(const std::vector<measure::Mount> mounts, ReadMounts());
  for (const measure::Mount& mount : mounts)
    if (mount.type == "fuse.assay" && mount.point == options.mount_point)
      return Fail(StateError(NodeError::kInUse, "another attester serves " + options.mount_point));
  return {};
}

Result<> Fs::Impl::MountIt() {
  ASSAY_TRY(TakeAwayStale());
  ASSAY_TRY(MakeDirs(options.mount_point, 0755));
  static const fuse_lowlevel_ops ops = Operations();
  std::string program = "assay";
  std::array<char*, 2> argv{program.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, argv.data());
  session = NewFuseSession(args, ops, this);
  fuse_opt_free_args(&args);
  if (!session) return Fail(LibError("fuse", "no session"));
  ASSAY_ASSIGN(UniqueFd device, assay::Open("/dev/fuse", O_RDWR | O_NONBLOCK));
  const std::string data =
      fmt::format("fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device.get());
  if (mount("assay", options.mount_point.c_str(), "fuse.assay", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            data.c_str()) != 0)
    return Fail(OsError("mount", options.mount_point, errno));
  mounted = true;
  if (fuse_session_mount(session.get(), fmt::format("/dev/fd/{}", device.get()).c_str()) != 0)
    return Fail(LibError("fuse", "the session does not accept its device"));
  device.Release();  // the session owns it from here on
  // No request must be made to the file system, because it is not served yet.
  struct statx stx{};
  if (statx(AT_FDCWD, options.mount_point.c_str(), AT_STATX_DONT_SYNC, 0, &stx) != 0)
    return Fail(OsError("statx", options.mount_point, errno));
  device_number = makedev(stx.stx_dev_major, stx.stx_dev_minor);
  if (recorder != nullptr)
    pool = std::make_unique<MeasurePool>(*recorder, MeasurePoolOptions{.deadline = options.measure_deadline,
                                                                       .own_device = device_number,
                                                                       .quota = options.quota,
                                                                       .judge = options.judge,

                                                                       .announced = options.announced});
  for (unsigned i = 0; i < kThreads; ++i) threads.push_back(Thread("assay-node", [this] { Serve(); }));
  threads.push_back(Thread("assay-growth", [this] { WatchGrowth(); }));
  return {};
}

// First the waiting callers get an answer, then the threads end, and then the connection. Requests through
// descriptors that are still open fail from then on.
Fs::Impl::~Impl() {
  if (pool) pool->Stop();
  stop.Signal();
  threads.clear();  // waits for them
  if (mounted && umount2(options.mount_point.c_str(), MNT_DETACH) != 0)
    log::Warn("{}", OsError("umount2", options.mount_point, errno).Message());
}

Fs::Fs(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Fs::~Fs() = default;
dev_t Fs::Device() const { return impl_->device_number; }

Result<std::unique_ptr<Fs>> Fs::Mount(FsOptions options, ListSource& list, Recorder* recorder) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->source = &list;
  impl->recorder = recorder;
  clock_gettime(CLOCK_REALTIME, &impl->since);
  ASSAY_ASSIGN(impl->list, list.OpenList());
  ASSAY_ASSIGN(impl->stop, EventFd::Make());
  impl->AddNodes();
  ASSAY_TRY(impl->MountIt());
  return std::unique_ptr<Fs>(new Fs(std::move(impl)));
}

}  // namespace assay::measure
