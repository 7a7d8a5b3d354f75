// Logging for programs and rooms: levels, one line a message, text or JSON to stderr or a file.
//
//   // given: const std::string& tcti
//   log::Init({.level = log::Level::kInfo, .json = true, .file = {}});   // once, in main
//   log::Warn("tpm: {} is gone", tcti);
//
// Contract: never blocks on anything that may itself be measured (no syslog, no journal socket); messages are
// escaped (control characters, JSON); safe from any thread. Before Init(): text to stderr, level info.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace assay::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };
struct Options {
  Level level = Level::kInfo;
  bool json = false;
  std::string file;  // empty: stderr
};
void Init(const Options& options);
void Write(Level level, std::string_view message);
bool Enabled(Level level);

template <typename... A>
void Debug(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, fmt::format(f, std::forward<A>(a)...));
}
template <typename... A>
void Info(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, fmt::format(f, std::forward<A>(a)...));
}
template <typename... A>
void Warn(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kWarn)) Write(Level::kWarn, fmt::format(f, std::forward<A>(a)...));
}
template <typename... A>
void Error(fmt::format_string<A...> f, A&&... a) {
  if (Enabled(Level::kError)) Write(Level::kError, fmt::format(f, std::forward<A>(a)...));
}

}  // namespace assay::log
