#include "measure/record/journal.h"

namespace assay::measure {
namespace {
constexpr std::size_t kFixed = 8 + 4 + 8 + 4 + 4 + 1 + 1 + 1;
constexpr std::size_t kMaxText = 32, kMaxCgroup = 255;

// Keeps the end of a path, which tells more than its start.
std::string_view LastPart(std::string_view path) {
  return path.size() > kMaxCgroup ? path.substr(path.size() - kMaxCgroup) : path;
}
}  // namespace

// u16 size of what follows | u64 index | u32 sub | u64 time_ms | u32 pid | u32 uid | u8 n | comm | u8 n |
// hook | u8 n | cgroup
Bytes EncodeJournal(const JournalEntry& e) {
  const std::string comm = e.context.comm.substr(0, kMaxText), hook = e.context.hook.substr(0, kMaxText);
  const std::string_view cgroup = LastPart(e.context.cgroup);
  Writer w;
  w.U16Le(static_cast<std::uint16_t>(kFixed + comm.size() + hook.size() + cgroup.size()));
  w.U64Le(e.index).U32Le(e.sub).U64Le(e.context.time_ms);
  w.U32Le(static_cast<std::uint32_t>(e.context.pid)).U32Le(e.context.uid);
  w.U8(static_cast<std::uint8_t>(comm.size())).Put(comm);
  w.U8(static_cast<std::uint8_t>(hook.size())).Put(hook);
  w.U8(static_cast<std::uint8_t>(cgroup.size())).Put(cgroup);
  return w.Take();
}

Result<JournalPart> ParseJournal(ByteView bytes, std::uint64_t first) {
  JournalPart part;
  Reader r(bytes, "journal");
  while (r.remaining() >= 2) {
    ASSAY_ASSIGN(const std::uint16_t size, r.U16Le("size"));
    if (size < kFixed || size > kFixed + 2 * kMaxText + kMaxCgroup)
      return Fail(r.BadAt(part.whole, "size of an entry"));
    if (r.remaining() < size) break;
    JournalEntry e;
    ASSAY_ASSIGN(e.index, r.U64Le("index"));
    ASSAY_ASSIGN(e.sub, r.U32Le("sub"));
    ASSAY_ASSIGN(e.context.time_ms, r.U64Le("time"));
    ASSAY_ASSIGN(const std::uint32_t pid, r.U32Le("pid"));
    ASSAY_ASSIGN(e.context.uid, r.U32Le("uid"));
    e.context.pid = static_cast<pid_t>(pid);
    ASSAY_ASSIGN(const std::uint8_t comm_size, r.U8("comm size"));
    ASSAY_ASSIGN(const ByteView comm, r.Take(comm_size, "comm"));
    ASSAY_ASSIGN(const std::uint8_t hook_size, r.U8("hook size"));
    ASSAY_ASSIGN(const ByteView hook, r.Take(hook_size, "hook"));
    ASSAY_ASSIGN(const std::uint8_t cgroup_size, r.U8("cgroup size"));
    ASSAY_ASSIGN(const ByteView cgroup, r.Take(cgroup_size, "cgroup"));
    if (comm_size > kMaxText || hook_size > kMaxText || kFixed + comm_size + hook_size + cgroup_size != size)
      return Fail(r.BadAt(part.whole, "sizes within an entry"));
    part.whole = r.offset();
    if (e.index < first) continue;
    e.context.comm = AsText(comm);
    e.context.hook = AsText(hook);
    e.context.cgroup = AsText(cgroup);
    part.entries.push_back(std::move(e));
  }
  return part;
}

}  // namespace assay::measure
