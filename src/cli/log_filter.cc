#include "cli/log_filter.h"

#include <time.h>

#include <charconv>

#include "appraise/other_digest.h"
#include "base/fd.h"
#include "cli/verifier.h"
#include "measure/policy/policy.h"
#include "measure/record/journal.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxContext = std::size_t{1} << 30;

// The recorder's journal, or the context of a saved round, which is JSON lines.
Result<std::vector<evidence::ContextEntry>> ReadContext(const std::string& path) {
  ASSAY_ASSIGN(const Bytes bytes, ReadFile(path, kMaxContext));
  if (!bytes.empty() && bytes[0] == '{') return evidence::ParseContext(bytes);
  ASSAY_ASSIGN(const measure::JournalPart journal, measure::ParseJournal(bytes, 0));
  std::vector<evidence::ContextEntry> entries;
  entries.reserve(journal.entries.size());
  for (const measure::JournalEntry& e : journal.entries)
    entries.push_back({.index = e.index,
                       .sub = e.sub,
                       .time_ms = e.context.time_ms,
                       .pid = static_cast<std::uint32_t>(e.context.pid),
                       .uid = e.context.uid,
                       .comm = e.context.comm,
                       .hook = e.context.hook,
                       .cgroup = e.context.cgroup,
                       .program = e.context.program,
                       .script = e.context.script,
                       .under = e.context.under});
  return entries;
}

std::optional<std::uint64_t> Number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<std::uint64_t> ParseSince(const std::string& text, std::uint64_t now_ms) {
  constexpr std::pair<char, std::uint64_t> kUnits[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  for (const auto& [unit, seconds] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::optional<std::uint64_t> n = Number(std::string_view(text).substr(0, text.size() - 1));
    if (n && *n <= now_ms / 1000 / seconds) return now_ms - *n * seconds * 1000;
  }
  for (const char* form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    tm time{};
    const char* end = strptime(text.c_str(), form, &time);
    if (end == nullptr || *end != '\0') continue;
    const time_t seconds = timegm(&time);
    if (seconds >= 0) return static_cast<std::uint64_t>(seconds) * 1000;
  }
  return Fail(
      UsageError("--since: not a time: '" + text + "' (2026-11-30T02:00:00Z, 2026-11-30, 90s, 10m, 2h, 1d)"));
}

Result<LogFilter> LogFilter::Of(const ShowOptions& o, const std::string& journal, std::uint64_t now_ms) {
  LogFilter filter;
  filter.path_ = o.path;
  filter.by_ = o.by;
  if (!o.container.empty()) {
    ASSAY_ASSIGN(filter.container_, evidence::ContainerPattern::Parse(o.container));
  }
  if (!o.since.empty()) {
    ASSAY_ASSIGN(filter.since_ms_, ParseSince(o.since, now_ms));
  }
  if (o.unknown) {
    if (o.references.empty())
      return Fail(UsageError("log show: --unknown needs reference values: --reference"));
    ASSAY_ASSIGN(filter.references_, LoadReferences(o.references));
  }
  if (journal.empty()) {
    if (filter.since_ms_ || !filter.by_.empty())
      return Fail(UsageError("log show: who loaded an entry and when is not in the list: --context FILE"));
    return filter;
  }
  Result<std::vector<evidence::ContextEntry>> contexts = ReadContext(journal);
  if (!contexts) return Fail(contexts.error().In(journal));
  for (evidence::ContextEntry& c : *contexts)
    filter.contexts_.insert_or_assign(std::pair(c.index, c.sub), std::move(c));
  return filter;
}

const evidence::ContextEntry* LogFilter::ContextOf(std::uint64_t record, std::uint32_t sub) const {
  const auto found = contexts_.find({record, sub});
  return found == contexts_.end() ? nullptr : &found->second;
}

bool LogFilter::IsBy(const evidence::ContextEntry& c) const {
  if (by_.starts_with("uid:")) return Number(by_.substr(4)) == c.uid;
  if (by_.starts_with("pid:")) return Number(by_.substr(4)) == c.pid;
  return c.comm == by_;
}

// Of a record that names no control group the context tells it. A person who looks at a list means the
// containers of users and services too.
bool LogFilter::IsIn(const evidence::ContainerPattern& wanted, const Result<ima::Entry>& entry,
                     const evidence::ContextEntry* context) {
  const std::string cgroup = entry && !entry->cgroup.empty() ? entry->cgroup
                             : context != nullptr            ? context->cgroup
                                                             : "";
  const std::optional<evidence::Container> c = evidence::ContainerIn(cgroup);
  return c && (wanted.OfSystem() ? wanted.FitsId(*c) : wanted.Fits(*c));
}

bool LogFilter::Keeps(const ima::RecordView& record, std::uint32_t sub,
                      const Result<ima::Entry>& entry) const {
  const evidence::ContextEntry* context = ContextOf(record.index, sub);
  if (since_ms_ && (context == nullptr || context->time_ms < *since_ms_)) return false;
  if (!by_.empty() && (context == nullptr || !IsBy(*context))) return false;
  if (container_ && !IsIn(*container_, entry, context)) return false;
  if (!path_.empty() && (!entry || !measure::GlobMatches(path_, entry->path))) return false;
  if (!references_) return true;
  // Whether the record is about a file: the attester's own records and the kernel's buffers are not.
  const bool file = entry && entry->file_digest && entry->path.starts_with('/');
  if (!file || record.violation() || !entry->file_digest->digest) return file;
  const std::string text = ima::FileDigestText(*entry->file_digest);
  return references_->Find(appraise::DigestToFind(*entry->file_digest->digest, text)).empty();
}

}  // namespace assay::cli
