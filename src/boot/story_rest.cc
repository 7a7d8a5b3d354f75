#include <fmt/format.h>

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
  const std::string label = EventLabel(x, i);
  if (IsUnderstood(x, i) && !label.empty()) return label;
  return e.data.empty() ? "no data" : fmt::format("{} bytes: {}", e.data.size(), Head(e.data));
}

// Firmware's events of one register and type, in one line.
struct Group {
  std::string what;
  bool understood = true;
  std::vector<std::size_t> events;
};

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
  std::vector<bool> told(x.size());
  for (const StoryLine& line : teller.lines()) {
    for (const std::uint64_t number : line.events) told[number] = true;
  }
  std::map<std::pair<std::string, bool>, Group> groups;
  std::vector<std::size_t> single;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    const bool understood = IsUnderstood(x, i);
    // The header is the first event.
    if (told[i] || x.separator[i] || i == 0 && std::holds_alternative<SpecId>(x.decoded[i].body)) continue;
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
  // What loaders and the system measured, each by itself: among it are command lines.
  for (const std::size_t i : single) {
    const Event& e = x.event(i);
    teller.Tell(
        IsUnderstood(x, i) ? "other" : "not-understood",
        fmt::format("{}, {}: {}", RegisterName(x.log->registers, e.index), TypeText(e), Content(x, i)), i,
        true);
  }
}

}  // namespace assay::boot
