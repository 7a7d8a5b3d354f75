#include "measure/record/journal.h"

namespace assay::measure {
namespace {
constexpr std::size_t kFixed = 8 + 4 + 8 + 4 + 4 + 1 + 1 + 1;
constexpr std::size_t kMaxText = 32, kMaxPath = 255;
constexpr std::size_t kMaxEntry = kFixed + 2 * kMaxText + 4 * kMaxPath + 3;

// Keeps the end of a path, which tells more than its start.
std::string_view LastPart(std::string_view path) {
  return path.size() > kMaxPath ? path.substr(path.size() - kMaxPath) : path;
}

void PutShort(Writer& w, std::string_view text) { w.U8(static_cast<std::uint8_t>(text.size())).Put(text); }

Result<std::string> TakeShort(Reader& r, std::size_t most, std::string_view what) {
  ASSAY_ASSIGN(const std::uint8_t size, r.U8(what));
  if (size > most) return Fail(r.Bad(what));
  ASSAY_ASSIGN(const ByteView text, r.Take(size, what));
  return std::string(AsText(text));
}

// What a process is known by beyond its name. Attesters of before it was kept wrote none, and a successor
// reads their journal.
Result<> TakeNames(Reader& r, Context& context) {
  if (r.done()) return {};
  ASSAY_ASSIGN(context.program, TakeShort(r, kMaxPath, "program"));
  ASSAY_ASSIGN(context.script, TakeShort(r, kMaxPath, "script"));
  ASSAY_ASSIGN(context.under, TakeShort(r, kMaxPath, "parents"));
  if (context.program.empty() && context.script.empty() && context.under.empty())
    return Fail(r.Bad("no names"));
  return {};
}

Result<JournalEntry> ParseEntry(Reader r) {
  JournalEntry e;
  ASSAY_ASSIGN(e.index, r.U64Le("index"));
  ASSAY_ASSIGN(e.sub, r.U32Le("sub"));
  ASSAY_ASSIGN(e.context.time_ms, r.U64Le("time"));
  ASSAY_ASSIGN(const std::uint32_t pid, r.U32Le("pid"));
  ASSAY_ASSIGN(e.context.uid, r.U32Le("uid"));
  e.context.pid = static_cast<pid_t>(pid);
  ASSAY_ASSIGN(e.context.comm, TakeShort(r, kMaxText, "comm"));
  ASSAY_ASSIGN(e.context.hook, TakeShort(r, kMaxText, "hook"));
  ASSAY_ASSIGN(e.context.cgroup, TakeShort(r, kMaxPath, "cgroup"));
  ASSAY_TRY(TakeNames(r, e.context));
  if (!r.done()) return Fail(r.Bad("sizes within an entry"));
  return e;
}

}  // namespace

// u16 size of what follows | u64 index | u32 sub | u64 time_ms | u32 pid | u32 uid | u8 n | comm | u8 n |
// hook | u8 n | cgroup | u8 n | program | u8 n | script | u8 n | parents
Bytes EncodeJournal(const JournalEntry& e) {
  Writer body;
  body.U64Le(e.index).U32Le(e.sub).U64Le(e.context.time_ms);
  body.U32Le(static_cast<std::uint32_t>(e.context.pid)).U32Le(e.context.uid);
  PutShort(body, e.context.comm.substr(0, kMaxText));
  PutShort(body, e.context.hook.substr(0, kMaxText));
  PutShort(body, LastPart(e.context.cgroup));
  const Context& c = e.context;
  if (!c.program.empty() || !c.script.empty() || !c.under.empty()) {
    PutShort(body, LastPart(c.program));
    PutShort(body, LastPart(c.script));
    PutShort(body, std::string_view(c.under).substr(0, kMaxPath));
  }
  Writer w;
  w.U16Le(static_cast<std::uint16_t>(body.bytes().size())).Put(body.bytes());
  return w.Take();
}

Result<JournalPart> ParseJournal(ByteView bytes, std::uint64_t first) {
  JournalPart part;
  Reader r(bytes, "journal");
  while (r.remaining() >= 2) {
    ASSAY_ASSIGN(const std::uint16_t size, r.U16Le("size"));
    if (size < kFixed || size > kMaxEntry) return Fail(r.BadAt(part.whole, "size of an entry"));
    if (r.remaining() < size) break;
    const std::uint64_t at = r.offset();
    ASSAY_ASSIGN(const ByteView body, r.Take(size, "entry"));
    ASSAY_ASSIGN(JournalEntry e, ParseEntry(Reader(body, "journal", at)));
    part.whole = r.offset();
    if (e.index >= first) part.entries.push_back(std::move(e));
  }
  return part;
}

}  // namespace assay::measure
