#include "daemon/metrics.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.h"

namespace assay::daemon {
namespace {

using nlohmann::json;

struct Metric {
  std::string_view name, type, help;
  const char* from;      // of the status, as a JSON pointer
  double divisor = 1.0;  // to the base unit
  std::string_view suffix = "";
};

constexpr double kMs = 1e3, kUs = 1e6;
constexpr Metric kMetrics[] = {
    {"assay_start_time_seconds", "gauge", "When the attester started, since 1970.", "/started_ms", kMs},
    {"assay_events_total", "counter", "Questions of the kernel to the engine.", "/engine/stats/events"},
    {"assay_clean_hits_total", "counter", "Questions about files that were known to be clean.",
     "/engine/stats/clean"},
    {"assay_not_code_total", "counter", "Questions about files that are no code.", "/engine/stats/not_code"},
    {"assay_measured_total", "counter", "Files that were hashed and recorded.", "/engine/stats/measured"},
    {"assay_hashed_bytes_total", "counter", "Bytes that were hashed.", "/engine/stats/bytes_hashed"},
    {"assay_waiters", "gauge", "Tasks that wait for the attester.", "/engine/stats/held"},
    {"assay_queue_length", "gauge", "Tasks that wait for a worker.", "/engine/stats/queue_depth"},
    {"assay_hanging", "gauge", "Tasks whose file the kernel is opening for the engine.",
     "/engine/stats/hanging"},
    {"assay_longest_wait_seconds", "gauge", "The longest time that a task was held since the start.",
     "/engine/stats/longest_wait_ms", kMs},
    {"assay_expired_total", "counter", "Tasks that were held until the deadline.", "/engine/stats/expired"},
    {"assay_unrecorded_total", "counter", "Expired tasks that went on before the list said so.",
     "/engine/stats/unrecorded"},
    {"assay_refused_total", "counter", "Loads that were refused, or would have been while learning.",
     "/engine/stats/refused"},
    {"assay_unasked_total", "counter", "Loads without a question: the kernel had no memory for one.",
     "/engine/stats/unasked"},
    {"assay_lost_total", "counter", "Events that were lost: the buffer was full.", "/engine/stats/lost"},
    {"assay_engine_errors_total", "counter", "Files that could not be measured.", "/engine/stats/errors"},
    {"assay_list_records", "gauge", "Records in the measurement list.", "/recorder/records"},
    {"assay_list_entries", "gauge", "Measurements in the list, those inside groups included.",
     "/recorder/entries"},
    {"assay_list_bytes", "gauge", "Size of the list.", "/recorder/list_bytes"},
    {"assay_list_overflow", "gauge", "Records that were extended and not kept.", "/recorder/overflow"},
    {"assay_list_violations", "gauge", "Violations in the list.", "/recorder/violations"},
    {"assay_list_gaps", "gauge", "Times without measuring within this list.", "/recorder/gaps"},
    {"assay_recoveries_total", "counter", "Recoveries of the recorder.", "/recorder/recoveries"},
    {"assay_tpm_extend_seconds", "summary", "How long the TPM took to extend the PCR.",
     "/recorder/extends/count", 1.0, "_count"},
    {"assay_tpm_extend_seconds", "summary", "", "/recorder/extends/total_us", kUs, "_sum"},
    {"assay_tpm_extend_longest_seconds", "gauge", "The longest extend since the start.",
     "/recorder/extends/longest_us", kUs},
    {"assay_quotes_total", "counter", "Quotes that were made.", "/challenge/quotes/made"},
    {"assay_quotes_failed_total", "counter", "Quotes that failed.", "/challenge/quotes/failed"},
    {"assay_quote_last_time_seconds", "gauge", "When the last quote was made, since 1970; 0: never.",
     "/challenge/quotes/last_ms", kMs},
    {"assay_network_restarts_total", "counter", "Restarts of the network process.",
     "/challenge/network/restarts"},
    {"assay_reloads_total", "counter", "Reloads of the configuration that took effect.",
     "/configuration/reloads"},
    {"assay_reloads_refused_total", "counter", "Reloads that were refused.", "/configuration/refused"},
    {"assay_handovers_total", "counter", "Handovers to another process.", "/handover/count"},
    {"assay_handovers_refused_total", "counter", "Handovers that were refused.", "/handover/refused"},
    {"assay_log_waiting", "gauge", "Messages that wait to be written.", "/log/waiting"},
    {"assay_log_dropped_total", "counter", "Messages that were dropped.", "/log/dropped"},
};

std::string Head(std::string_view name, std::string_view type, std::string_view help) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

// Within the quotes of a label: \\, \" and \n are escaped.
std::string Label(std::string_view text) {
  std::string out;
  for (const char c : Printable(text)) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

std::string Text(const json& status, const char* pointer) {
  const json::json_pointer at(pointer);
  return status.contains(at) && status[at].is_string() ? status[at].get<std::string>() : "";
}

std::string Problems(const json& status) {
  std::string out =
      Head("assay_problem", "gauge", "What keeps the attester from its work, or deserves a look.");
  for (const char* kind : {"degraded", "notices"}) {
    if (!status.contains(kind)) continue;
    std::map<std::string, std::size_t> count;
    for (const json& problem : status[kind]) ++count[problem.value("code", "")];
    for (const auto& [code, n] : count)
      out += fmt::format("assay_problem{{kind=\"{}\",code=\"{}\"}} {}\n", kind, Label(code), n);
  }
  return out;
}

}  // namespace

std::string MetricsText(const json& status) {
  const std::string state = Text(status, "/state");
  std::string out = Head("assay_up", "gauge", "1: the attester measures. 0: it starts.");
  out += fmt::format("assay_up {}\n", state == "starting" ? 0 : 1);
  out += Head("assay_degraded", "gauge", "1: something keeps the attester from its work.");
  out += fmt::format("assay_degraded {}\n", state == "degraded" ? 1 : 0);
  out += Problems(status);
  const json::json_pointer software("/tpm/software");
  out += Head("assay_info", "gauge", "What the attester is.");
  out += fmt::format("assay_info{{version=\"{}\",engine=\"{}\",scope=\"{}\",tpm=\"{}\"}} 1\n",
                     Label(Text(status, "/version")), Label(Text(status, "/engine/name")),
                     Label(Text(status, "/engine/scope")),
                     !status.contains(software) ? ""
                     : status[software] == true ? "software"
                                                : "hardware");
  for (const Metric& m : kMetrics) {
    const json::json_pointer at(m.from);
    if (!status.contains(at) || !status[at].is_number()) continue;
    if (!m.help.empty()) out += Head(m.name, m.type, m.help);
    if (m.divisor == 1.0)
      out += fmt::format("{}{} {}\n", m.name, m.suffix, status[at].get<std::uint64_t>());
    else
      out += fmt::format("{}{} {:.6f}\n", m.name, m.suffix, status[at].get<double>() / m.divisor);
  }
  return out;
}

}  // namespace assay::daemon
