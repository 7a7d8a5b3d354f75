#include <fmt/core.h>

#include <map>

#include "boot/expected.h"
#include "boot/teller.h"

namespace assay::boot {
namespace {

constexpr std::size_t kShown = 16;

bool IsFirmwareRegister(const Examined& x, std::uint32_t index) {
  return index <= (x.log->registers == Registers::kPcr ? 7U : 2U);
}

bool IsUnderstood(const Examined& x, std::size_t i) {
  const auto* v = std::get_if<Variable>(&x.decoded[i].body);
  return !std::holds_alternative<std::monostate>(x.decoded[i].body) && x.decoded[i].fault.empty() &&
         (v == nullptr || v->fault.empty());
}

std::string TypeText(const Event& e) {
  return e.type == kNoCelType ? fmt::format("CEL content {}", e.cel->content_type) : EventTypeName(e.type);
}

std::string Content(const Examined& x, std::size_t i) {
  const Event& e = x.event(i);
  std::string label = EventLabel(x, i);
  if (IsUnderstood(x, i) && !label.empty()) return label;
  return e.data.empty() ? "no data" : fmt::format("{} bytes: {}", e.data.size(), Head(e.data));
}

// The firmware's events of one register and type, which share a line.
struct Group {
  std::string what;
  bool understood = true;
  std::vector<std::size_t> events;
};

// Whether it is an IMA record whose digest covers its content.
bool IsImaRecord(const Examined& x, std::size_t i) {
  const auto* ima = std::get_if<ImaTemplate>(&x.decoded[i].body);
  const Grade grade = x.proofs[i].grade;
  return ima != nullptr && !ima->path.empty() && (grade == Grade::kProven || grade == Grade::kPartly);
}

void TellIma(const Examined& x, Teller& teller) {
  std::map<std::uint32_t, StoryLine> lines;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (IsImaRecord(x, i)) lines[x.event(i).index].events.push_back(x.event(i).number);
  }
  for (auto& [index, line] : lines) {
    line.topic = "ima";
    line.text = fmt::format("{}: {} records of IMA (assay log show lists them)",
                            RegisterName(x.log->registers, index), line.events.size());
    line.grade = Grade::kPartly;
    line.reason = "digest of each record's data; the template's name is not measured";
    teller.Add(std::move(line));
  }
}

void TellGroup(const Examined& x, const Group& group, Teller& teller) {
  StoryLine line;
  line.topic = group.understood ? "other" : "not-understood";
  line.text =
      fmt::format("{}: {} event{}", group.what, group.events.size(), group.events.size() == 1 ? "" : "s");
  line.grade = x.proofs[group.events[0]].grade;
  line.reason = x.proofs[group.events[0]].how;
  for (const std::size_t i : group.events) {
    line.events.push_back(x.event(i).number);
    if (line.details.size() < kShown) line.details.push_back(Content(x, i));
  }
  if (group.events.size() > kShown)
    line.details.push_back(fmt::format("and {} more", group.events.size() - kShown));
  teller.Add(std::move(line));
}

}  // namespace

void TellRest(const Examined& x, Teller& teller) {
  TellIma(x, teller);
  teller.Flush();
  std::map<std::pair<std::string, bool>, Group> groups;
  std::vector<std::size_t> single;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    const bool understood = IsUnderstood(x, i);
    const bool header = i == 0 && std::holds_alternative<SpecId>(x.decoded[i].body);
    if (teller.told(i) || x.separator[i] || header) continue;
    if (e.measured() && !IsFirmwareRegister(x, e.index)) {
      single.push_back(i);
      continue;
    }
    const bool covers = x.proofs[i].grade == Grade::kProven || x.proofs[i].grade == Grade::kPartly;
    if (understood && (covers || !e.measured())) continue;
    const std::string what =
        e.measured() ? RegisterName(x.log->registers, e.index) + ", " + TypeText(e) : TypeText(e);
    Group& group = groups[{what, understood}];
    group.what = what;
    group.understood = understood;
    group.events.push_back(i);
  }
  for (const auto& [key, group] : groups) TellGroup(x, group, teller);
  // Measurements of loaders and the system have a line each, because they include command lines.
  for (const std::size_t i : single) {
    const Event& e = x.event(i);
    teller.Tell(
        IsUnderstood(x, i) ? "other" : "not-understood",
        fmt::format("{}, {}: {}", RegisterName(x.log->registers, e.index), TypeText(e), Content(x, i)), i,
        true);
  }
}

}  // namespace assay::boot
