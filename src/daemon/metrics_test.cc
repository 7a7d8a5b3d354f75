#include "daemon/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/test_data.h"

namespace assay::daemon {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Whole() {
  const auto problem = [](const char* code) { return json{{"code", code}}; };
  json stats, quotes;
  for (const char* name :
       {"events", "clean", "not_code", "measured", "bytes_hashed", "held", "queue_depth", "hanging",
        "longest_wait_ms", "expired", "unrecorded", "refused", "unasked", "lost", "errors"})
    stats[name] = 1500;
  for (const char* name : {"made", "failed", "last_ms"}) quotes[name] = 3;
  json recorder;
  for (const char* name :
       {"records", "entries", "list_bytes", "overflow", "violations", "gaps", "recoveries"})
    recorder[name] = 7;
  recorder["extends"] = {{"count", 4}, {"total_us", 10'000}, {"longest_us", 5'000}};
  return {{"version", "0.1.0"},
          {"state", "degraded"},
          {"started_ms", 1'796'000'000'500},
          {"engine", {{"name", "lsm"}, {"scope", "host"}, {"stats", stats}}},
          {"recorder", recorder},
          {"tpm", {{"software", true}}},
          {"degraded", json::array({problem("recorder.degraded"), problem("recorder.degraded")})},
          {"notices", json::array({problem("a\"b\\c\n")})},
          {"challenge", {{"quotes", quotes}, {"network", {{"restarts", 0}}}}},
          {"configuration", {{"reloads", 1}, {"refused", 2}}},
          {"handover", {{"count", 1}, {"refused", 0}}},
          {"log", {{"waiting", 0}, {"dropped", 0}}}};
}

// The names of the metrics in a text: what stands behind "# TYPE".
std::set<std::string> Names(const std::string& text) {
  std::set<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("# TYPE ")) names.insert(line.substr(7, line.find(' ', 7) - 7));
  return names;
}

TEST(Metrics, SayWhatTheStatusSays) {
  const std::string text = MetricsText(Whole());
  for (const char* line :
       {"\nassay_degraded 1\n", "assay_up 1\n", "\nassay_events_total 1500\n",
        "\nassay_clean_hits_total 1500\n", "\nassay_longest_wait_seconds 1.500000\n",
        "\nassay_tpm_extend_seconds_count 4\n", "\nassay_tpm_extend_seconds_sum 0.010000\n",
        "\nassay_list_gaps 7\n", "\nassay_start_time_seconds 1796000000.500000\n",
        "\nassay_info{version=\"0.1.0\",engine=\"lsm\",scope=\"host\",tpm=\"software\"} 1\n",
        "\nassay_problem{kind=\"degraded\",code=\"recorder.degraded\"} 2\n",
        "# TYPE assay_tpm_extend_seconds summary\n"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_THAT(text, HasSubstr("code=\"a\\\"b\\\\"));
  EXPECT_EQ(text.back(), '\n');
}

TEST(Metrics, AnAttesterThatStartsHasFew) {
  const std::string text = MetricsText({{"version", "0.1.0"}, {"pid", 7}, {"state", "starting"}});
  EXPECT_THAT(text, HasSubstr("assay_up 0\n"));
  EXPECT_THAT(text, HasSubstr("tpm=\"\"}"));
  EXPECT_EQ(Names(text),
            (std::set<std::string>{"assay_up", "assay_degraded", "assay_problem", "assay_info"}));
}

// The document has each of them and no other; the alerts ask for none that there is not.
TEST(Metrics, AreDocumented) {
  const auto read = [](const std::string& path) {
    std::ifstream file(TestData() + "/../../" + path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  };
  const std::set<std::string> names = Names(MetricsText(Whole()));
  std::set<std::string> documented;
  std::istringstream lines(read("docs/formats/metrics.md"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("| `assay_")) documented.insert(line.substr(3, line.find('`', 3) - 3));
  EXPECT_EQ(names, documented);
  const std::string alerts = read("docs/assay.rules.yml");
  ASSERT_THAT(alerts, HasSubstr("assay_up"));
  for (std::size_t at = 0; (at = alerts.find("assay_", at)) != std::string::npos;) {
    const std::size_t end = alerts.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at);
    std::string name = alerts.substr(at, end - at);
    for (const std::string_view suffix : {"_count", "_sum"})
      if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
    EXPECT_TRUE(names.contains(name)) << name;
    at = end;
  }
}

}  // namespace
}  // namespace assay::daemon
