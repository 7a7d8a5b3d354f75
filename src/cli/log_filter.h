// Which entries of a list `assay log show` prints, and what is known of the process that loaded each.
//
//   // given: const ShowOptions& options, std::uint64_t now_ms,
//   // given: const ima::RecordView& record, const Result<ima::Entry>& entry
//   ASSAY_ASSIGN(const LogFilter filter, LogFilter::Of(options, "/run/assayd/list/journal", now_ms));
//   if (filter.Keeps(record, 0, entry)) log::Info("record {}", record.index);
//
// Contract: an entry is kept if every given filter keeps it; one whose process or time is not known is not
// kept by a filter that asks for it. The context is the attester's word, which the PCR does not prove.
#pragma once

#include <map>
#include <memory>

#include "cli/cmd_log.h"
#include "evidence/container.h"
#include "evidence/evidence.h"
#include "list/list.h"
#include "reference/index.h"

namespace assay::cli {

class LogFilter {
 public:
  // journal: a file of contexts, the recorder's journal or a round's context.jsonl; empty: none.
  static Result<LogFilter> Of(const ShowOptions& o, const std::string& journal, std::uint64_t now_ms);
  const evidence::ContextEntry* ContextOf(std::uint64_t record, std::uint32_t sub) const;
  bool Keeps(const ima::RecordView& record, std::uint32_t sub, const Result<ima::Entry>& entry) const;

 private:
  LogFilter() = default;
  bool IsBy(const evidence::ContextEntry& c) const;
  static bool IsIn(const evidence::ContainerPattern& wanted, const Result<ima::Entry>& entry,
                   const evidence::ContextEntry* context);
  std::map<std::pair<std::uint64_t, std::uint32_t>, evidence::ContextEntry> contexts_;
  std::string path_, by_;
  std::optional<evidence::ContainerPattern> container_;
  std::optional<std::uint64_t> since_ms_;
  std::optional<reference::Indexes> references_;  // only what is not in them
};

// "2026-11-30T02:00:00Z", "2026-11-30" or how long ago: "90s", "10m", "2h", "1d". UTC.
Result<std::uint64_t> ParseSince(const std::string& text, std::uint64_t now_ms);

}  // namespace assay::cli
