#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

namespace assay::log {
namespace {

struct State {
  std::shared_ptr<spdlog::logger> logger = spdlog::stderr_logger_mt("assay");
  std::atomic<Level> level{Level::kInfo};
  std::atomic<bool> json{false};
};
State& Get() {
  static State* state = new State;  // never destroyed: threads may log while the process ends
  return *state;
}

spdlog::level::level_enum ToSpd(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

// Control characters become \u00XX in both forms: a path in a message must not be able to write a line of its
// own.
std::string Escape(std::string_view s, bool json) {
  std::string out;
  out.reserve(s.size());
  for (char c : s) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else if (json && (c == '"' || c == '\\')) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void Init(const Options& options) {
  State& s = Get();
  if (!options.file.empty())
    s.logger = std::make_shared<spdlog::logger>(
        "assay", std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file, false));
  s.level = options.level;
  s.json = options.json;
  s.logger->set_level(ToSpd(options.level));
  s.logger->flush_on(spdlog::level::debug);
  s.logger->set_pattern(options.json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","msg":"%v"})"
                                     : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                        spdlog::pattern_time_type::utc);
}

bool Enabled(Level level) { return level >= Get().level.load(std::memory_order_relaxed); }

void Write(Level level, std::string_view message) {
  State& s = Get();
  s.logger->log(ToSpd(level), "{}", Escape(message, s.json));
}

}  // namespace assay::log
