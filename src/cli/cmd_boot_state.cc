#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"
#include "boot/boot_json.h"
#include "boot/pe.h"
#include "boot/predict.h"
#include "cli/cmd_boot.h"

namespace assay::cli {
namespace {

Result<boot::ExpectedBoot> LearnedFrom(const BootOptions& o, const std::string& file) {
  ASSAY_ASSIGN(std::optional<boot::ExpectedBoot> expected, ExpectedIn(file));
  if (expected) return std::move(*expected);
  BootOptions one = o;
  one.file = file;
  ASSAY_ASSIGN(const std::unique_ptr<LoadedLog> loaded, Load(one));
  ASSAY_ASSIGN(const HashAlg bank, BankOf(one, loaded->log));
  return boot::Learn(boot::Examine(loaded->log, bank));
}

struct Compared {
  const std::string* file = nullptr;
  std::vector<boot::BootDifference> differences;
  std::vector<boot::OpenRegister> not_compared;
};

// The file of an expected boot; with --json it is a member of the command's document.
void Print(const boot::ExpectedBoot& expected, const Session& session) {
  const std::string text = boot::ExpectedJson(expected);
  if (session.json)
    session.Answer({{"expected", nlohmann::json::parse(text, nullptr, false)}});
  else
    fmt::print("{}\n", text);
}

}  // namespace

Result<std::optional<boot::ExpectedBoot>> ExpectedIn(const std::string& file) {
  ASSAY_ASSIGN(const Bytes bytes, ReadFile(file, boot::kMaxLog));
  // An expected boot is JSON; no event log begins with a brace.
  if (bytes.empty() || bytes[0] != '{') return std::optional<boot::ExpectedBoot>();
  auto expected = boot::ExpectedFromJson(AsText(bytes));
  if (!expected) return Fail(expected.error().In(file));
  return std::optional<boot::ExpectedBoot>(std::move(*expected));
}

Result<int> LearnBoot(const BootOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::unique_ptr<LoadedLog> loaded, Load(o));
  ASSAY_ASSIGN(const HashAlg bank, BankOf(o, loaded->log));
  Print(boot::Learn(boot::Examine(loaded->log, bank)), session);
  return kExitOk;
}

Result<int> PredictBoot(const BootOptions& o, const Session& session) {
  if (o.files.empty() && o.texts.empty())
    return Fail(UsageError("boot predict: give what changes: --replace OLD NEW or --replace-text OLD NEW"));
  ASSAY_ASSIGN(const std::unique_ptr<LoadedLog> loaded, Load(o));
  ASSAY_ASSIGN(const HashAlg bank, BankOf(o, loaded->log));
  std::vector<std::pair<Bytes, Bytes>> contents;  // the change has views into them
  contents.reserve(o.files.size());
  boot::Prediction change;
  for (const auto& [before, after] : o.files) {
    ASSAY_ASSIGN(Bytes old_file, ReadFile(before, boot::kMaxPe));
    ASSAY_ASSIGN(Bytes new_file, ReadFile(after, boot::kMaxPe));
    contents.emplace_back(std::move(old_file), std::move(new_file));
    change.files.push_back({before, after, contents.back().first, contents.back().second});
  }
  for (const auto& [before, after] : o.texts) change.texts.push_back({before, after});
  ASSAY_ASSIGN(const boot::ExpectedBoot next, boot::Predict(boot::Examine(loaded->log, bank), change));
  Print(next, session);
  for (const boot::OpenRegister& r : next.open)
    fmt::print(stderr, "{} left open: {}\n", boot::RegisterName(next.registers, r.index), r.reason);
  return kExitOk;
}

Result<int> DiffBoots(const BootOptions& o, const Session& session) {
  if (o.boots.size() < 2) return Fail(UsageError("boot diff: give at least two boots"));
  ASSAY_ASSIGN(const boot::ExpectedBoot after, LearnedFrom(o, o.boots.back()));
  Compared nearest;
  for (std::size_t i = 0; i + 1 < o.boots.size(); ++i) {
    ASSAY_ASSIGN(const boot::ExpectedBoot before, LearnedFrom(o, o.boots[i]));
    auto differences = boot::Diff(before, after);
    if (!differences) return Fail(differences.error().In(o.boots[i]));
    if (nearest.file == nullptr || differences->size() < nearest.differences.size())
      nearest = {&o.boots[i], std::move(*differences), boot::NotCompared(before, after)};
  }
  const int code = !nearest.differences.empty()    ? kExitNotTrusted
                   : !nearest.not_compared.empty() ? kExitUnknown
                                                   : kExitOk;
  if (session.json) {
    session.AnswerText(boot::DiffJson(*nearest.file, nearest.differences, nearest.not_compared));
    return code;
  }
  if (o.boots.size() > 2)
    fmt::print("{} {}\n", nearest.differences.empty() ? "as" : "nearest to", Printable(*nearest.file));
  for (const boot::BootDifference& d : nearest.differences)
    fmt::print("{} {:<8} {:<34} {} {}\n", d.added ? '+' : '-',
               boot::RegisterName(after.registers, d.event.index), Printable(d.event.type),
               Printable(d.event.digest), Printable(d.event.label));
  for (const boot::OpenRegister& r : nearest.not_compared)
    fmt::print("? {:<8} not compared: {}\n", boot::RegisterName(after.registers, r.index),
               Printable(r.reason));
  return code;
}

}  // namespace assay::cli
