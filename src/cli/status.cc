#include "cli/status.h"

#include <fmt/core.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/errors.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxStatus = 1 << 20;

// A member that an attester of another version may lack has an empty or zero value here.
std::string Str(const JsonValue& v, std::string_view key) {
  const Result<std::string> text = v.Str(key);
  return text ? Printable(*text) : "";
}
std::uint64_t Num(const JsonValue& v, std::string_view key) {
  const Result<std::uint64_t> number = v.U64(key);
  return number ? *number : 0;
}

// "2026-11-30 03:04:05 UTC (12 s ago)"
std::string When(std::uint64_t time_ms) {
  if (time_ms == 0) return "never";
  const std::uint64_t now = NowMs(), ago = now > time_ms ? (now - time_ms) / 1000 : 0;
  constexpr std::uint64_t kMinute = 60, kHour = 3600, kDay = 86400;
  const std::string since = ago < 2 * kMinute ? fmt::format("{} s", ago)
                            : ago < 2 * kHour ? fmt::format("{} min", ago / kMinute)
                            : ago < 2 * kDay  ? fmt::format("{} h", ago / kHour)
                                              : fmt::format("{} days", ago / kDay);
  constexpr std::size_t kTime = 11, kSeconds = 8;  // of "2026-11-30T03:04:05.000Z"
  return fmt::format("{} {} UTC ({} ago)", DateText(time_ms), TimeText(time_ms).substr(kTime, kSeconds),
                     since);
}

void PrintMeasuring(const JsonValue& root) {
  if (const Result<JsonValue> engine = root.Object("engine"); engine) {
    fmt::print("  engine    {} (scope {}): {}\n", Str(*engine, "name"), Str(*engine, "scope"),
               Str(*engine, "state"));
    if (const Result<JsonValue> stats = engine->Object("stats"); stats)
      fmt::print("  waits     {} tasks wait, {} for a worker; the longest wait was {} ms\n",
                 Num(*stats, "held"), Num(*stats, "queue_depth"), Num(*stats, "longest_wait_ms"));
  }
  if (const Result<JsonValue> list = root.Object("recorder"); list) {
    const std::string reason = Str(*list, "degraded_reason");
    fmt::print("  list      {} entries in {} records, {} violations, {} gaps{}{}\n", Num(*list, "entries"),
               Num(*list, "records"), Num(*list, "violations"), Num(*list, "gaps"),
               reason.empty() ? "" : ": ", reason);
  }
  if (const Result<JsonValue> tpm = root.Object("tpm"); tpm) {
    const Result<bool> software = tpm->Bool("software");
    fmt::print("  TPM       {}{}\n", Str(*tpm, "vendor"), software && *software ? " (software)" : "");
  }
}

void PrintChallenges(const JsonValue& root) {
  const Result<JsonValue> challenge = root.Object("challenge");
  if (!challenge) return;
  if (const Result<JsonValue> quotes = challenge->Object("quotes"); quotes) {
    fmt::print("  quotes    {} made, the last {}; {} failed", Num(*quotes, "made"),
               When(Num(*quotes, "last_ms")), Num(*quotes, "failed"));
    if (Num(*quotes, "failed") > 0)
      fmt::print(", the last {}: {}", When(Num(*quotes, "last_failure_ms")), Str(*quotes, "error"));
    fmt::print("\n");
  }
  const std::string listen = Str(*challenge, "listen"), unix_path = Str(*challenge, "unix");
  fmt::print("  listens   {}{}{}\n", listen, !listen.empty() && !unix_path.empty() ? ", " : "", unix_path);
  const Result<JsonValue> callers = challenge->Array("callers");
  if (!callers) return;
  static_cast<void>(callers->Each([](const JsonValue& c) -> Result<> {  // it fails only if the visit does
    fmt::print("  verifier  {} ({}): {} answered, {} refused, the last {}: {}\n", Str(c, "name"),
               Str(c, "level"), Num(c, "answered"), Num(c, "refused"), When(Num(c, "last_ms")),
               Str(c, "outcome"));
    return {};
  }));
}

void PrintProblems(const JsonValue& root, std::string_view kind, std::string_view mark) {
  const Result<JsonValue> problems = root.Array(kind);
  if (!problems) return;
  static_cast<void>(problems->Each([&](const JsonValue& p) -> Result<> {  // it fails only if the visit does
    fmt::print("{} {} ({})\n    {}\n", mark, Str(p, "text"), Str(p, "code"), Str(p, "remedy"));
    return {};
  }));
}

void PrintConfiguration(const JsonValue& c) {
  const Result<std::vector<std::string>> drop_ins = c.Strings("drop_ins");
  const std::size_t count = drop_ins ? drop_ins->size() : 0;
  fmt::print("  config    {}{}, loaded {}\n", Str(c, "file"),
             count == 0 ? "" : fmt::format(" and {} drop-ins", count), When(Num(c, "loaded_ms")));
}

void Print(const JsonValue& root, const std::string& state) {
  fmt::print("assayd is {}\n", state);
  PrintMeasuring(root);
  PrintChallenges(root);
  if (const Result<JsonValue> c = root.Object("configuration"); c) PrintConfiguration(*c);
  if (const Result<JsonValue> backlog = root.Object("log"); backlog) {
    const std::uint64_t waiting = Num(*backlog, "waiting"), dropped = Num(*backlog, "dropped");
    if (waiting > 0 || dropped > 0)
      fmt::print("  log       {} messages wait to be written, {} were dropped\n", waiting, dropped);
  }
  PrintProblems(root, "degraded", "!");
  PrintProblems(root, "notices", "-");
}

// Nothing is mounted there, or the process that served it has ended.
bool IsGone(const Error& error) {
  const auto* os = error.As<OsError>();
  return os != nullptr && (os->err == ENOENT || os->err == ENOTCONN || os->err == ECONNABORTED);
}

bool IsForbidden(const Error& error) {
  const auto* os = error.As<OsError>();
  return os != nullptr && (os->err == EACCES || os->err == EPERM);
}

}  // namespace

Result<int> ShowStatus(const std::string& mount_point, const Session& session) {
  const Result<Bytes> bytes = ReadFile(mount_point + "/status", kMaxStatus);
  if (!bytes && IsForbidden(bytes.error()))
    return Fail(
        StateError(StatusError::kNotAllowed, "only root may read the status of assayd: sudo assay status"));
  if (!bytes && IsGone(bytes.error())) {
    const Error down = StateError(StatusError::kNotRunning, "assayd is not running: systemctl start assayd");
    if (session.json)
      session.Answer({{"state", "not running"}, {"error", ErrorJson(down)}});
    else
      fmt::print("{}\n    {}\n", down.Message(), down.remedy());
    return kExitNotTrusted;
  }
  if (!bytes) return Fail(bytes.error());
  ASSAY_ASSIGN(const JsonDoc doc, JsonDoc::Parse(AsText(*bytes), "status", kMaxStatus));
  ASSAY_ASSIGN(const std::string state, doc.root().Str("state"));
  if (session.json)
    session.AnswerText(std::string(AsText(*bytes)));
  else
    Print(doc.root(), state);
  return state == "ok" ? kExitOk : state == "starting" ? kExitUnknown : kExitNotTrusted;
}

}  // namespace assay::cli
