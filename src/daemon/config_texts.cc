#include "daemon/config_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/json_dump.h"
#include "base/text.h"
#include "daemon/errors.h"

namespace assay::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxConfig = 1 << 20, kMaxDropIns = 1000;
constexpr std::string_view kEnding = ".json";

Result<json> ReadObject(const ConfigText& text, const Places& places) {
  const auto bad = [&](std::size_t line, std::string_view what) {
    return StateError(ConfigError::kSyntax, fmt::format("{}:{}: {}", text.name, line, Printable(what)));
  };
  if (text.json.size() > kMaxConfig) return Fail(bad(1, "it is too large"));
  if (places.broken()) return Fail(bad(places.broken()->line, "not JSON: " + places.broken()->what));
  constexpr bool kThrow = false, kComments = true;
  json object = json::parse(text.json, nullptr, kThrow, kComments);
  if (!object.is_object()) return Fail(bad(1, "the text is not one JSON object"));
  return object;
}

Result<std::vector<std::string>> DropIns(const std::string& path) {
  const std::string stem = path.ends_with(kEnding) ? path.substr(0, path.size() - kEnding.size()) : path;
  const std::string folder = stem + ".d";
  std::vector<std::string> files;
  const Result<std::vector<std::string>> names = NamesIn(folder);
  const OsError* os = names ? nullptr : names.error().As<OsError>();
  if (os != nullptr && os->err == ENOENT) return files;
  ASSAY_TRY(names);
  for (const std::string& name : *names) {
    if (!name.ends_with(kEnding) || name.starts_with('.')) continue;
    files.push_back(folder + "/" + name);
    if (files.size() > kMaxDropIns)
      return Fail(StateError(ConfigError::kSyntax, folder + ": it has too many files"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Result<MergedTexts> MergedTexts::Of(std::span<const ConfigText> texts) {
  MergedTexts merged;
  json whole;
  for (const ConfigText& text : texts) {
    merged.texts_.push_back({.name = text.name, .places = Places(text.json)});
    const Places& places = merged.texts_.back().places;
    ASSAY_ASSIGN(json object, ReadObject(text, places));
    if (!places.repeated().empty()) {
      const auto& [member, line] = *places.repeated().begin();
      return Fail(StateError(ConfigError::kUnknownMember, fmt::format("{}:{}: {}: it is there twice",
                                                                      text.name, line, Printable(member))));
    }
    // What is wrong in the first text stays wrong: a null there is no member that was taken away.
    if (merged.texts_.size() == 1)
      whole = std::move(object);
    else
      whole.merge_patch(object);
  }
  merged.merged_ = DumpJson(whole);
  return merged;
}

std::string MergedTexts::Where(std::string_view member) const {
  while (true) {
    for (auto text = texts_.rbegin(); text != texts_.rend(); ++text)
      if (text->places.Has(member)) return fmt::format("{}:{}", text->name, text->places.LineOf(member));
    const std::size_t slash = member.rfind('/');
    if (slash == std::string_view::npos) return texts_.front().name + ":1";
    member = member.substr(0, slash);
  }
}

Error MergedTexts::Bad(ErrorCode code, std::string_view member, const std::string& what) const {
  return StateError(code, fmt::format("{}: {}: {}", Where(member), Printable(member), what));
}

Result<std::vector<ConfigText>> ReadConfigTexts(const std::string& path) {
  ASSAY_ASSIGN(std::vector<std::string> files, DropIns(path));
  files.insert(files.begin(), path);
  std::vector<ConfigText> texts;
  for (std::string& file : files) {
    ASSAY_ASSIGN(const Bytes bytes, ReadFile(file, kMaxConfig));
    texts.push_back({.name = std::move(file), .json = std::string(AsText(bytes))});
  }
  return texts;
}

}  // namespace assay::daemon
