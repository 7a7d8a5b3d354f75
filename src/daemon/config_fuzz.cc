// assayd's configuration: what is taken is told whole, in the record of what is measured and to the
// initramfs' script.
#include "base/fuzzing.h"
#include "base/json.h"
#include "daemon/config.h"
#include "daemon/early.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  // The text, and what stands behind a line of dashes as its drop-in.
  const std::string_view all = AsText({data, size});
  const std::size_t dashes = all.find("\n---\n");
  std::vector<daemon::ConfigText> texts{{.name = "assayd.json", .json = std::string(all.substr(0, dashes))}};
  if (dashes != std::string_view::npos)
    texts.push_back({.name = "drop-in.json", .json = std::string(all.substr(dashes + 5))});
  const auto config = daemon::ParseConfig(texts);
  if (!config) return 0;
  Require(config->pcr >= 8 && config->pcr <= 15);  // no register that can be reset
  Require(config->engine.rules.policy != nullptr);
  Require(config->engine.rules.appraise == measure::Appraise::kOff || !config->manifest.empty());
  Require(config->listen.empty() || (!config->certificate.empty() && !config->key.empty()));
  const std::string told = daemon::EnginePolicy(*config);
  const auto doc = JsonDoc::Parse(told, "policy");
  Require(doc && doc->root().Has("engine") && doc->root().Has("record"));
  (void)daemon::EarlySettings(*config);
  (void)daemon::EarlyFiles(*config);
  return 0;
}
