#include "daemon/probe.h"

#include <nlohmann/json.hpp>

#include "measure/choice/engines.h"

namespace assay::daemon {

std::string ProbeEngines() {
  nlohmann::json engines = nlohmann::json::array();
  for (const measure::EngineEntry& entry : measure::Engines()) {
    const Result<> works = entry.probe();
    nlohmann::json j = {{"engine", entry.name},
                        {"works", works.has_value()},
                        {"text", works ? std::string(entry.effect) : works.error().Message()}};
    if (!works) {
      j["code"] = works.error().code();
      j["remedy"] = works.error().remedy();
    }
    engines.push_back(std::move(j));
  }
  return engines.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace assay::daemon
