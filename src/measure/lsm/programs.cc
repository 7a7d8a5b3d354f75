#include "measure/lsm/programs.h"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "base/crypto.h"
#include "base/digest.h"
#include "base/folder.h"
#include "base/log.h"
#include "measure/lsm/carry.h"
#include "measure/lsm/embedded.h"
#include "measure/lsm/errors.h"
#include "measure/lsm/pins.h"

namespace assay::measure {
namespace {

constexpr char kKernelTypes[] = "/sys/kernel/btf/vmlinux";
constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO
constexpr unsigned kMaxTaskState = 1024;
constexpr std::size_t kMaxStorages = 20'000;  // the map may be filled while it is read
constexpr std::size_t kMaxMissed = 100'000;   // at once: the map may be filled while it is emptied
// The kernel functions that the programs call. bpf_get_task_exe_file is the youngest: Linux 6.12.
constexpr const char* kFunctions[] = {"bpf_get_task_exe_file", "bpf_path_d_path", "bpf_get_file_xattr",
                                      "bpf_task_from_pid", "bpf_put_file"};

constexpr std::string_view kGuardPrograms = "guard_", kStartPrograms = "start_";

// The programs that are loaded only if the configuration needs them.
struct Parts {
  bool guard = false, starts = false;
};
Parts PartsOf(const LsmSetup& setup) { return {.guard = setup.guard, .starts = !setup.instrumented.empty()}; }
const std::vector<std::string> kMaps{"control",   "requests",    "tasks",    "missed",         "events",
                                     "own_files", "own_objects", "storages", "storage_answers"};

bool IsWanted(const bpf_program* program, const Parts& parts) {
  const std::string_view name = bpf_program__name(program);
  return (parts.guard || !name.starts_with(kGuardPrograms)) &&
         (parts.starts || !name.starts_with(kStartPrograms));
}

Result<std::vector<std::string>> ProgramNames(const Parts& parts) {
  ASSAY_ASSIGN(const bpf::ObjectPtr object, bpf::OpenObject(EmbeddedLsmObject()));
  std::vector<std::string> names;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) if (IsWanted(program, parts))
      names.emplace_back(bpf_program__name(program));
  return names;
}

Result<bpf::ObjectPtr> LoadObject(const Parts& parts) {
  ASSAY_ASSIGN(bpf::ObjectPtr object, bpf::OpenObject(EmbeddedLsmObject()));
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get())
      bpf_program__set_autoload(program, IsWanted(program, parts));
  ASSAY_TRY(bpf::Load(*object));
  return object;
}

Result<bpf::Attached> TryLoadAndAttach(const Parts& parts) {
  bpf::Attached a;
  ASSAY_ASSIGN(a.object, LoadObject(parts));
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, a.object.get()) {
    if (!IsWanted(program, parts)) continue;
    ASSAY_ASSIGN(bpf::LinkPtr link, bpf::Attach(*program));
    a.links.emplace_back(bpf_program__name(program), std::move(link));
  }
  return a;
}

// The attester mounts a bpffs of its own, so that other programs' pins are elsewhere and a container can't
// reach these.
Result<> EnsureBpffs(const std::string& dir) {
  ASSAY_TRY(MakeDirs(dir, 0700));
  struct statfs info{};
  if (statfs(dir.c_str(), &info) != 0) return Fail(OsError("statfs", dir, errno));
  if (static_cast<unsigned long>(info.f_type) == BPF_FS_MAGIC) return {};
  if (mount("assay", dir.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    return Fail(OsError("mount", dir + " as bpf", errno));
  return {};
}

Result<> CheckNamespace() {
  struct stat st{};
  if (stat("/proc/self/ns/pid", &st) != 0 || st.st_ino != kInitialPidNamespace)
    return Fail(StateError(LsmError::kPidNamespace, "the lsm engine needs the initial pid namespace"));
  return {};
}

// Checks what the kernel must have, without loading anything.
Result<> CheckKernel() {
  ASSAY_TRY(CheckNamespace());
  const Result<Bytes> active = ReadFile("/sys/kernel/security/lsm", 4096);
  if (active && (("," + std::string(AsText(*active)) + ",").find(",bpf,") == std::string::npos))
    return Fail(StateError(LsmError::kInactive, "bpf is not among the kernel's security modules: " +
                                                    std::string(AsText(*active))));
  if (access(kKernelTypes, R_OK) != 0)
    return Fail(StateError(LsmError::kBtf, "the kernel does not tell its types (CONFIG_DEBUG_INFO_BTF)"));
  const bpf::BtfPtr types(btf__load_vmlinux_btf());
  if (!types) return Fail(StateError(LsmError::kBtf, "the kernel's types can't be read"));
  if (btf__find_by_name_kind(types.get(), "bpf_lsm_mmap_file", BTF_KIND_FUNC) < 0)
    return Fail(StateError(LsmError::kInactive, "the kernel is built without the BPF security module"));
  for (const char* function : kFunctions) {
    if (btf__find_by_name_kind(types.get(), function, BTF_KIND_FUNC) < 0)
      return Fail(StateError(LsmError::kKernelFunction, std::string("the kernel has no ") + function +
                                                            "(): it is older than Linux 6.12"));
  }
  return {};
}

// The programs are attached while `active` is 0, so no hook does anything yet.
Result<bpf::Attached> LoadAndAttach(const Parts& parts) {
  Result<bpf::Attached> attached = TryLoadAndAttach(parts);
  if (attached) return attached;
  const auto* os = attached.error().As<OsError>();
  return Fail(StateError(
      os != nullptr && os->err == EPERM ? ErrorCode(LsmError::kPermission) : ErrorCode(LsmError::kLoad),
      "the kernel refuses the programs: " + attached.error().Message()));
}

}  // namespace

std::uint32_t KernelDev(dev_t dev) { return (major(dev) << 20) | minor(dev); }

Result<> LsmPrograms::Probe() {
  ASSAY_TRY(CheckKernel());
  ASSAY_TRY(LoadAndAttach({}));
  return {};
}

Result<std::unique_ptr<LsmPrograms>> LsmPrograms::Open(LsmSetup setup) {
  std::unique_ptr<LsmPrograms> p(new LsmPrograms);
  p->setup_ = std::move(setup);
  ASSAY_TRY(CheckNamespace());
  if (p->setup_.beside) {
    ASSAY_TRY(CheckKernel());
    ASSAY_TRY(p->Load());
    return p;
  }
  // Adopting comes first because it is quick, and nothing is measured until it is done.
  if (const Result<> adopted = p->Adopt(); !adopted) {
    if (adopted.error().Is(LsmError::kPins)) {
      p->unfit_ = adopted.error().Message();
      log::Error("lsm: what an earlier attester left is not taken over: {}", p->unfit_);
    } else {
      log::Debug("lsm: nothing to take over: {}", adopted.error().Message());
    }
    ASSAY_TRY(CheckKernel());
    ASSAY_TRY(EnsureBpffs(p->setup_.pin_dir));
    ASSAY_TRY(p->Load());
  }
  return p;
}

LsmPrograms::~LsmPrograms() {
  if (control_ != nullptr) munmap(control_, sizeof(assay_control));
}

Result<> LsmPrograms::UseMaps(const std::function<Result<UniqueFd>(const std::string&)>& open) {
  ASSAY_ASSIGN(control_map_, open("control"));
  ASSAY_ASSIGN(requests_, open("requests"));
  ASSAY_ASSIGN(tasks_, open("tasks"));
  ASSAY_ASSIGN(missed_, open("missed"));
  ASSAY_ASSIGN(events_, open("events"));
  ASSAY_ASSIGN(own_files_, open("own_files"));
  ASSAY_ASSIGN(own_objects_, open("own_objects"));
  ASSAY_ASSIGN(storages_, open("storages"));
  ASSAY_ASSIGN(storage_answers_, open("storage_answers"));
  if (control_ != nullptr) munmap(control_, sizeof(assay_control));
  control_ = nullptr;
  void* shared =
      mmap(nullptr, sizeof(assay_control), PROT_READ | PROT_WRITE, MAP_SHARED, control_map_.get(), 0);
  if (shared == MAP_FAILED) return Fail(OsError("mmap", "the map control", errno));
  control_ = static_cast<assay_control*>(shared);
  return {};
}

// The identity of programs and policy: a file that is clean by one policy need not be clean by another.
Digest LsmPrograms::Identity() const {
  Hasher hasher(HashAlg::kSha256);
  hasher.Update(EmbeddedLsmObject());
  hasher.Update(AsBytes(setup_.guard ? "guard" : "open"));
  for (const auto& [path, hook] : setup_.instrumented) hasher.Update(AsBytes(path + "=" + hook + "\n"));
  hasher.Update(AsBytes(setup_.policy));
  return hasher.Finish();
}

Result<> LsmPrograms::Adopt() {
  std::error_code none;
  const bool empty = std::filesystem::is_empty(setup_.pin_dir, none) || none;
  if (empty) return Fail(StateError(LsmError::kOther, "nothing is pinned"));
  const Result<> maps =
      UseMaps([&](const std::string& name) { return bpf::OpenPinned(setup_.pin_dir + "/map_" + name); });
  if (!maps) return Fail(StateError(LsmError::kPins, "map: " + maps.error().Message()));
  const bool known = control_->version == ASSAY_WIRE_VERSION;
  // The pinned programs would ask about the files that this process loads, and no attester would answer.
  if (known) ASSAY_TRY(Mark(getpid(), ASSAY_ROLE_EXEMPT));
  if (!known || !Equal(Identity().view(), ByteView(control_->object)))
    return Fail(StateError(LsmError::kOther, "the pinned programs are of another build or policy"));
  ASSAY_ASSIGN(const bpf::ObjectPtr fresh, LoadObject(PartsOf(setup_)));
  ASSAY_TRY(CheckPins(setup_.pin_dir, *fresh, kMaps));
  ASSAY_TRY(retained_.Retain(*fresh));
  ForgetClean();
  adopted_ = true;
  return NoteLinks();
}

// The epoch is random, so that no process can have written it into a state beforehand.
void LsmPrograms::ForgetClean() {
  const Result<Bytes> random = RandomBytes(sizeof(std::uint64_t));
  std::uint64_t epoch = control_->epoch + 1;
  if (random) std::memcpy(&epoch, random->data(), sizeof(epoch));
  __atomic_store_n(&control_->epoch, epoch, __ATOMIC_SEQ_CST);
}

Result<> LsmPrograms::NoteLinks() {
  ASSAY_ASSIGN(const std::vector<std::string> names, ProgramNames(PartsOf(setup_)));
  links_.clear();
  // The folder is kept as a descriptor, because after an early start the path leads elsewhere.
  ASSAY_ASSIGN(pins_, assay::Open(setup_.pin_dir, O_PATH | O_DIRECTORY));
  for (const std::string& name : names) {
    const std::string pin = setup_.pin_dir + "/link_" + name;
    ASSAY_ASSIGN(const UniqueFd link, bpf::OpenPinned(pin));
    ASSAY_ASSIGN(const bpf_link_info info, bpf::InfoOf<bpf_link_info>(link.get(), pin));
    links_.emplace_back(name, info.id);
  }
  return {};
}

std::vector<std::string> LsmPrograms::MissingLinks() const {
  std::vector<std::string> missing;
  for (const auto& [name, id] : links_) {
    const UniqueFd link = bpf::OpenPinnedAt(pins_.get(), "link_" + name);
    const Result<bpf_link_info> info = bpf::InfoOf<bpf_link_info>(link.get(), name);
    if (!info || info->id != id) missing.push_back(name);
  }
  return missing;
}

// Takes over what an earlier attester's programs noted while no attester answered.
void LsmPrograms::KeepMissed(int from) const {
  assay_missed_key key;
  const assay_missed_key* last = nullptr;
  for (std::size_t n = 0; n < kMaxMissed && bpf_map_get_next_key(from, last, &key) == 0; ++n) {
    last = &key;
    assay_missed value;
    if (bpf_map_lookup_elem(from, &key, &value) == 0)
      std::ignore = bpf_map_update_elem(missed_.get(), &key, &value, BPF_NOEXIST);
  }
}

Result<> LsmPrograms::UseMapsOf(const bpf::Attached& attached) {
  ASSAY_TRY(UseMaps([&](const std::string& name) -> Result<UniqueFd> {
    const bpf_map* map = bpf_object__find_map_by_name(attached.object.get(), name.c_str());
    if (map == nullptr) return Fail(LibError("libbpf", "the object has no map " + name));
    const int copy = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return Fail(OsError("fcntl", "F_DUPFD_CLOEXEC", errno));
    return UniqueFd(copy);
  }));
  control_->version = ASSAY_WIRE_VERSION;
  std::memcpy(control_->object, Identity().view().data(), ASSAY_DIGEST);
  return {};
}

Result<> LsmPrograms::PinMaps(const bpf::Attached& attached) {
  for (const std::string& name : kMaps) {
    const bpf_map* map = bpf_object__find_map_by_name(attached.object.get(), name.c_str());
    if (map == nullptr) return Fail(LibError("libbpf", "the object has no map " + name));
    const std::string pin = setup_.pin_dir + "/map_" + name;
    if (const int r = bpf_obj_pin(bpf_map__fd(map), pin.c_str()); r != 0)
      return Fail(OsError("bpf_obj_pin", pin, -r));
  }
  return {};
}

Result<> LsmPrograms::PinLinks(const bpf::Attached& attached) {
  for (const auto& [name, link] : attached.links) {
    const std::string pin = setup_.pin_dir + "/link_" + name;
    if (const int r = bpf_link__pin(link.get(), pin.c_str()); r != 0) {
      Remove();
      return Fail(OsError("bpf_link__pin", pin, -r));
    }
  }
  return {};
}

Result<> LsmPrograms::Pin() {
  RemovePinned(setup_.pin_dir);
  ASSAY_TRY(EnsureBpffs(setup_.pin_dir));
  ASSAY_TRY(PinMaps(fresh_));
  ASSAY_TRY(PinLinks(fresh_));
  fresh_ = {};
  return NoteLinks();
}

Result<> LsmPrograms::Load() {
  ASSAY_ASSIGN(bpf::Attached fresh, LoadAndAttach(PartsOf(setup_)));
  ASSAY_TRY(retained_.Retain(*fresh.object));
  if (setup_.beside) {
    fresh_ = std::move(fresh);
    return UseMapsOf(fresh_);
  }
  // The programs of an attester of another build are removed only now, so that there is no gap.
  const UniqueFd earlier = std::move(missed_);
  const Result<bpf_map_info> form = bpf::InfoOf<bpf_map_info>(earlier.get(), "missed");
  const bool alike = form && form->type == BPF_MAP_TYPE_HASH && form->key_size == sizeof(assay_missed_key) &&
                     form->value_size == sizeof(assay_missed);
  Remove();
  ASSAY_TRY(PinMaps(fresh));
  ASSAY_TRY(UseMapsOf(fresh));
  ASSAY_TRY(PinLinks(fresh));
  if (alike) KeepMissed(earlier.get());
  return NoteLinks();
}

// Guards everything that is pinned, and the programs that the links belong to.
Result<> LsmPrograms::Guard() const {
  struct stat st{};
  if (stat(setup_.pin_dir.c_str(), &st) != 0) return Fail(OsError("stat", setup_.pin_dir, errno));
  const auto add = [&](std::uint32_t type, std::uint32_t id) -> Result<> {
    const assay_object key{.type = type, .id = id};
    const std::uint32_t one = 1;
    if (const int r = bpf_map_update_elem(own_objects_.get(), &key, &one, BPF_ANY); r != 0)
      return Fail(OsError("bpf_map_update_elem", "own_objects", -r));
    return {};
  };
  ASSAY_ASSIGN(const std::vector<std::string> pins, NamesIn(setup_.pin_dir));
  for (const std::string& pin : pins) {
    ASSAY_ASSIGN(const UniqueFd fd, bpf::OpenPinned(setup_.pin_dir + "/" + pin));
    if (pin.starts_with("map_")) {
      ASSAY_ASSIGN(const bpf_map_info map, bpf::InfoOf<bpf_map_info>(fd.get(), pin));
      ASSAY_TRY(add(ASSAY_OBJECT_MAP, map.id));
    } else {
      ASSAY_ASSIGN(const bpf_link_info link, bpf::InfoOf<bpf_link_info>(fd.get(), pin));
      ASSAY_TRY(add(ASSAY_OBJECT_LINK, link.id));
      ASSAY_TRY(add(ASSAY_OBJECT_PROG, link.prog_id));
    }
  }
  control_->guard_dev = KernelDev(st.st_dev);
  __atomic_store_n(&control_->guarded, 1, __ATOMIC_SEQ_CST);
  return {};
}

void LsmPrograms::BeginPolicy() { std::memset(control_->object, 0, ASSAY_DIGEST); }

void LsmPrograms::EndPolicy(std::string_view policy) {
  setup_.policy = policy;
  // A state that is written late, for a question from before, has the former epoch.
  ForgetClean();
  std::memcpy(control_->object, Identity().view().data(), ASSAY_DIGEST);
}

void LsmPrograms::FindCommandDevices() const {
  const Result<Bytes> devices = ReadFile("/proc/devices", std::size_t{64} << 10);
  if (!devices) return;
  const auto number_of = [text = "\n" + std::string(AsText(*devices))](const std::string& name) {
    const std::size_t end = text.find(" " + name + "\n");
    const std::size_t line = end == std::string::npos ? end : text.rfind('\n', end);
    return line == std::string::npos
               ? 0U
               : static_cast<std::uint32_t>(std::strtoul(text.c_str() + line + 1, nullptr, 10));
  };
  __atomic_store_n(&control_->bsg_major, number_of("bsg"), __ATOMIC_RELAXED);
  __atomic_store_n(&control_->nvme_major, number_of("nvme-generic"), __ATOMIC_RELAXED);
}

Result<> LsmPrograms::AddOwnFile(const std::string& path) const {
  struct stat st{};
  if (stat(path.c_str(), &st) != 0) return Fail(OsError("stat", path, errno));
  const assay_own_file key{.ino = st.st_ino, .dev = KernelDev(st.st_dev), .reserved = 0};
  const std::uint32_t one = 1;
  if (const int r = bpf_map_update_elem(own_files_.get(), &key, &one, BPF_ANY); r != 0)
    return Fail(OsError("bpf_map_update_elem", "own_files", -r));
  return {};
}

void LsmPrograms::Remove() {
  if (control_ != nullptr) control_->active = 0;
  if (fresh_.object) {
    fresh_ = {};  // the pins are those of the attester beside us
    return;
  }
  // By the descriptor, because after an early start the path leads elsewhere.
  RemovePinned(pins_ ? "/proc/self/fd/" + std::to_string(pins_.get()) : setup_.pin_dir);
}

Result<std::vector<UniqueFd>> LsmPrograms::Known() const { return CarriedMaps(pins_.get()); }

Result<> LsmPrograms::TakeKnown(const std::vector<UniqueFd>& maps) {
  return CarryOver(maps, *fresh_.object, *control_);
}

void LsmPrograms::RemovePinned(const std::string& pin_dir) {
  const Result<std::vector<std::string>> pins = NamesIn(pin_dir);
  if (!pins) return;  // there is no such folder
  for (const std::string& pin : *pins) unlink((pin_dir + "/" + pin).c_str());
}

Result<> LsmPrograms::Mark(pid_t pid, std::uint32_t role) const {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return Fail(OsError("pidfd_open", std::to_string(pid), errno));
  // struct task_state begins with the role; only the BPF programs use the rest.
  std::array<std::uint8_t, kMaxTaskState> value{};
  std::memcpy(value.data(), &role, sizeof(role));
  ASSAY_ASSIGN(const bpf_map_info info, bpf::InfoOf<bpf_map_info>(tasks_.get(), "tasks"));
  if (info.value_size > value.size())
    return Fail(LibError("libbpf", "the map tasks has larger values than known"));
  const int fd = process.get();
  if (const int r = bpf_map_update_elem(tasks_.get(), &fd, value.data(), BPF_ANY); r != 0)
    return Fail(OsError("bpf_map_update_elem", "tasks", -r));
  return {};
}

std::optional<assay_request> LsmPrograms::Request(pid_t tid) const {
  assay_request request;
  const auto key = static_cast<std::uint32_t>(tid);
  if (bpf_map_lookup_elem(requests_.get(), &key, &request) != 0) return std::nullopt;
  request.path[ASSAY_PATH - 1] = 0;
  request.comm[ASSAY_COMM - 1] = 0;
  return request;
}

std::size_t LsmPrograms::DropStaleRequests(std::chrono::nanoseconds older) const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto limit =
      (std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) - older).count();
  std::vector<std::uint32_t> keys;
  // If a key is deleted meanwhile, the walk begins again, so it is bounded.
  std::uint32_t next = 0;
  while (keys.size() < kMaxMissed &&
         bpf_map_get_next_key(requests_.get(), keys.empty() ? nullptr : &keys.back(), &next) == 0)
    keys.push_back(next);
  std::size_t dropped = 0;
  for (const std::uint32_t tid : keys) {
    assay_request request;
    if (bpf_map_lookup_elem(requests_.get(), &tid, &request) != 0) continue;
    // A request without a time was not written by a hook.
    if (request.since != 0 && (limit < 0 || request.since > static_cast<std::uint64_t>(limit))) continue;
    if (bpf_map_delete_elem(requests_.get(), &tid) == 0) ++dropped;
  }
  return dropped;
}

bool LsmPrograms::IsRequested(int fd, const assay_request& request) const {
  static std::atomic<std::uint32_t> last{0};
  const std::uint32_t mark = ++last;
  if (mark == 0) return false;  // once in 2^32; 0 is what a new request has
  // Only the hook, which knows the inode, can put the mark into the request. The result of the call says
  // nothing.
  std::ignore = ioctl(fd, ASSAY_IDENTIFY, std::uint64_t{mark} << 32 | request.tid);
  const std::optional<assay_request> now = Request(static_cast<pid_t>(request.tid));
  return now && now->since == request.since && now->mark == mark;
}

void LsmPrograms::TakeMissed(const std::function<bool(const assay_missed&)>& record) const {
  assay_missed_key key;
  assay_missed value;
  for (std::size_t n = 0; n < kMaxMissed; ++n) {
    if (bpf_map_get_next_key(missed_.get(), nullptr, &key) != 0) return;
    if (bpf_map_lookup_elem(missed_.get(), &key, &value) != 0) continue;
    value.path[ASSAY_PATH - 1] = 0;
    value.comm[ASSAY_COMM - 1] = 0;
    if (!record(value)) return;
    assay_missed last;
    if (bpf_map_lookup_and_delete_elem(missed_.get(), &key, &last) != 0) continue;
    // The file was loaded once more meanwhile, perhaps with other content.
    if (last.count != value.count) record(value);
  }
}

void LsmPrograms::AnswerStorages(const std::function<std::uint32_t(const assay_storage&)>& judge) const {
  // raw_seq is read before anything is examined: a change meanwhile raises it, and the answer is then void.
  const std::uint64_t raw_seq = __atomic_load_n(&control_->raw_seq, __ATOMIC_SEQ_CST);
  std::uint64_t key = 0;
  const std::uint64_t* from = nullptr;
  for (std::size_t n = 0; n < kMaxStorages && bpf_map_get_next_key(storages_.get(), from, &key) == 0; ++n) {
    from = &key;
    assay_storage storage;
    if (bpf_map_lookup_elem(storages_.get(), &key, &storage) != 0) continue;
    assay_storage_answer answer;
    if (bpf_map_lookup_elem(storage_answers_.get(), &storage.id, &answer) == 0 && answer.raw_seq == raw_seq)
      continue;
    answer = {.raw_seq = raw_seq, .flags = judge(storage), .reserved = 0};
    if (const int r = bpf_map_update_elem(storage_answers_.get(), &storage.id, &answer, BPF_ANY); r != 0)
      log::Error("lsm: {}", OsError("bpf_map_update_elem", "storage_answers", -r).Message());
  }
}

Result<bpf::RingPtr> LsmPrograms::OpenEvents(std::function<void(const assay_event&)>* on_event) const {
  const auto callback = [](void* context, void* data, std::size_t size) {
    if (size < sizeof(assay_event)) return 0;
    assay_event event;
    std::memcpy(&event, data, sizeof(event));
    event.path[ASSAY_PATH - 1] = 0;
    event.comm[ASSAY_COMM - 1] = 0;
    (*static_cast<std::function<void(const assay_event&)>*>(context))(event);
    return 0;
  };
  bpf::RingPtr ring(ring_buffer__new(events_.get(), callback, on_event, nullptr));
  if (!ring) return Fail(OsError("ring_buffer__new", "events", errno));
  return ring;
}

}  // namespace assay::measure
