#include "measure/lsm/carry.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <tuple>

#include "base/bytes.h"
#include "base/folder.h"
#include "measure/lsm/errors.h"
#include "measure/system/maps.h"

namespace assay::measure {
namespace {

constexpr std::size_t kMaxEntries = 300'000;  // of one map, which may be filled while it is read
constexpr char kUser[] = "link_on_open";      // a program that uses all of these maps
enum Carried : std::uint8_t { kControl, kTasks, kInodes, kReal, kRaw, kCarried };
constexpr std::array<const char*, kCarried> kNames{"control", "tasks", "inodes", "real_inodes", "raw_files"};

Result<bpf_map_info> InfoOf(int map, const char* name) {
  bpf_map_info info{};
  std::uint32_t size = sizeof(info);
  if (const int r = bpf_obj_get_info_by_fd(map, &info, &size); r != 0)
    return Fail(OsError("bpf_obj_get_info_by_fd", name, -r));
  return info;
}

// The numbers of the maps that the program uses.
Result<std::vector<std::uint32_t>> MapsOfProgram(int program) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  if (const int r = bpf_obj_get_info_by_fd(program, &info, &size); r != 0)
    return Fail(OsError("bpf_obj_get_info_by_fd", kUser, -r));
  std::vector<std::uint32_t> ids(info.nr_map_ids);
  bpf_prog_info again{};
  again.nr_map_ids = info.nr_map_ids;
  again.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  size = sizeof(again);
  if (const int r = bpf_obj_get_info_by_fd(program, &again, &size); r != 0)
    return Fail(OsError("bpf_obj_get_info_by_fd", kUser, -r));
  ids.resize(std::min<std::size_t>(ids.size(), again.nr_map_ids));
  return ids;
}

// A map of the attester that leaves, and ours of the same name.
struct Pair {
  int from = -1, to = -1;
  std::uint32_t key_size = 0, value_size = 0;
};

// `make` changes a value of theirs into the one that ours gets; false: ours gets none.
using Make = std::function<bool(Bytes& value)>;

// Copies the entry of this key, unless ours has one. If theirs has been removed meanwhile, so is ours: the
// hooks may have removed it before it was there. Returns whether ours has it now from here.
bool Copy(const Pair& pair, const void* key, const Make& make) {
  Bytes value(pair.value_size), again(pair.value_size);
  if (bpf_map_lookup_elem(pair.from, key, value.data()) != 0 || !make(value)) return false;
  if (bpf_map_update_elem(pair.to, key, value.data(), BPF_NOEXIST) != 0) return false;
  if (bpf_map_lookup_elem(pair.from, key, again.data()) == 0) return true;
  return bpf_map_delete_elem(pair.to, key) != 0;
}

std::vector<std::uint64_t> KeysOf(int map) {
  std::vector<std::uint64_t> keys;
  std::uint64_t key = 0;
  const std::uint64_t* last = nullptr;
  while (keys.size() < kMaxEntries && bpf_map_get_next_key(map, last, &key) == 0) {
    keys.push_back(key);
    last = &keys.back();
  }
  return keys;
}

// Devices that are open for writing. What was judged clean before they were known is void.
void CarryRaw(const Pair& pair, assay_control& control) {
  for (const std::uint64_t key : KeysOf(pair.from)) {
    // The hook takes 1 off when it removes the entry, so it is counted first.
    __atomic_fetch_add(&control.raw_writers, 1, __ATOMIC_SEQ_CST);
    if (!Copy(pair, &key, [](Bytes&) { return true; }))
      __atomic_fetch_sub(&control.raw_writers, 1, __ATOMIC_SEQ_CST);
  }
  __atomic_fetch_add(&control.raw_seq, 1, __ATOMIC_SEQ_CST);
}

void CarryReal(const Pair& pair) {
  for (const std::uint64_t key : KeysOf(pair.from))
    std::ignore = Copy(pair, &key, [](Bytes& value) {
      assay_real_state state{};
      std::memcpy(&state, value.data(), sizeof(state));
      state.write_seq = 0;
      std::memcpy(value.data(), &state, sizeof(state));
      return state.used != 0 || state.shared != 0;
    });
}

// What a task's program is, and what was reported of it. A task that executes another program meanwhile
// changes theirs, so it is read again.
void CarryTask(const Pair& pair, pid_t pid) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return;
  const int key = process.get();
  assay_task_head before{}, after{};
  Bytes again(pair.value_size);
  const bool copied = Copy(pair, &key, [&](Bytes& value) {
    std::memcpy(&before, value.data(), sizeof(before));
    std::fill(value.begin(), value.end(), std::uint8_t{0});
    assay_task_head head = before;
    head.role = 0;  // each attester gives its own
    std::memcpy(value.data(), &head, sizeof(head));
    return head.program != 0 || head.reported != 0 || head.reported_reasons != 0;
  });
  if (!copied) return;
  if (bpf_map_lookup_elem(pair.from, &key, again.data()) == 0)
    std::memcpy(&after, again.data(), sizeof(after));
  if (after.program != before.program) std::ignore = bpf_map_delete_elem(pair.to, &key);
}

// The files that this process has mapped executable and that were measured: a writer is reported.
void CarryFiles(const Pair& pair, const std::string& process, std::set<std::string>& seen) {
  std::ignore = ForEachMapping(process, [&](const Mapping& mapping) {
    if (!mapping.executable || !mapping.path.starts_with('/')) return true;
    if (!seen.emplace(mapping.object).second) return true;
    // O_PATH asks no file server.
    const UniqueFd file(open(MapFile(process, mapping.range).c_str(), O_PATH | O_CLOEXEC));
    if (!file) return true;
    const int key = file.get();
    std::ignore = Copy(pair, &key, [](Bytes& value) {
      assay_inode_head head{};
      std::memcpy(&head, value.data(), sizeof(head));
      std::fill(value.begin(), value.end(), std::uint8_t{0});
      head = {.write_seq = 0, .used = head.used, .program = 0};  // the number of another build
      std::memcpy(value.data(), &head, sizeof(head));
      return head.used != 0;
    });
    return true;
  });
}

Result<std::array<Pair, kCarried>> PairsOf(const std::vector<UniqueFd>& from, bpf_object& to) {
  const auto other = [](const std::string& why) {
    return Fail(
        StateError(LsmError::kOther, "what the programs in the kernel know can't be taken over: " + why));
  };
  if (from.size() != kCarried) return other("these are not all of the maps");
  std::array<Pair, kCarried> pairs;
  for (unsigned i = 0; i < kCarried; ++i) {
    const bpf_map* ours = bpf_object__find_map_by_name(&to, kNames[i]);
    if (ours == nullptr) return Fail(LibError("libbpf", std::string("the object has no map ") + kNames[i]));
    ASSAY_ASSIGN(const bpf_map_info theirs, InfoOf(from[i].get(), kNames[i]));
    if (theirs.key_size != bpf_map__key_size(ours) || theirs.value_size != bpf_map__value_size(ours))
      return other(std::string("the map ") + kNames[i] + " has another form");
    pairs[i] = {from[i].get(), bpf_map__fd(ours), theirs.key_size, theirs.value_size};
  }
  assay_control theirs{};
  const std::uint32_t zero = 0;
  if (const int r = bpf_map_lookup_elem(pairs[kControl].from, &zero, &theirs); r != 0)
    return Fail(OsError("bpf_map_lookup_elem", "control", -r));
  if (theirs.version != ASSAY_WIRE_VERSION) return other("they are of another version");
  return pairs;
}

}  // namespace

Result<std::vector<UniqueFd>> CarriedMaps(int pins) {
  const UniqueFd link = bpf::OpenPinnedAt(pins, kUser);
  if (!link) return Fail(OsError("bpf_obj_get", kUser, errno));
  bpf_link_info at{};
  std::uint32_t size = sizeof(at);
  if (const int r = bpf_obj_get_info_by_fd(link.get(), &at, &size); r != 0)
    return Fail(OsError("bpf_obj_get_info_by_fd", kUser, -r));
  const UniqueFd program(bpf_prog_get_fd_by_id(at.prog_id));
  if (!program) return Fail(OsError("bpf_prog_get_fd_by_id", kUser, errno));
  ASSAY_ASSIGN(const std::vector<std::uint32_t> ids, MapsOfProgram(program.get()));
  std::vector<UniqueFd> maps(kCarried);
  for (const std::uint32_t id : ids) {
    UniqueFd map(bpf_map_get_fd_by_id(id));
    if (!map) return Fail(OsError("bpf_map_get_fd_by_id", kUser, errno));
    ASSAY_ASSIGN(const bpf_map_info info, InfoOf(map.get(), kUser));
    for (unsigned i = 0; i < kCarried; ++i)
      if (std::strncmp(info.name, kNames[i], sizeof(info.name)) == 0) {
        maps[i] = std::move(map);
        break;
      }
  }
  for (unsigned i = 0; i < kCarried; ++i)
    if (!maps[i]) return Fail(StateError(LsmError::kOther, std::string("there is no map ") + kNames[i]));
  return maps;
}

Result<> CarryOver(const std::vector<UniqueFd>& from, bpf_object& to, assay_control& control) {
  ASSAY_ASSIGN(const auto pairs, PairsOf(from, to));
  CarryRaw(pairs[kRaw], control);
  CarryReal(pairs[kReal]);
  std::set<std::string> seen;
  ASSAY_ASSIGN(const std::vector<std::string> processes, NamesIn("/proc"));
  for (const std::string& process : processes) {
    if (process.find_first_not_of("0123456789") != std::string::npos) continue;
    CarryTask(pairs[kTasks], std::stoi(process));
    CarryFiles(pairs[kInodes], process, seen);
  }
  return {};
}

}  // namespace assay::measure
