#include "boot/expected.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "boot/errors.h"

namespace assay::boot {
namespace {

using Sequence = std::vector<const ExpectedEvent*>;

bool Same(const ExpectedEvent& a, const ExpectedEvent& b) { return a.type == b.type && a.digest == b.digest; }

std::map<std::uint32_t, Sequence> ByRegister(const ExpectedBoot& boot) {
  std::map<std::uint32_t, Sequence> out;
  for (const ExpectedEvent& e : boot.events) out[e.index].push_back(&e);
  return out;
}

// Compares two sequences without their common start and end, by the longest common subsequence. Sequences
// that are too long for that are reported as replaced as a whole.
void DiffMiddle(const Sequence& a, const Sequence& b, std::vector<BootDifference>& out) {
  constexpr std::size_t kMaxCells = std::size_t{1} << 22;
  std::vector<std::vector<std::uint32_t>> common;
  const bool aligned = (a.size() + 1) * (b.size() + 1) <= kMaxCells;
  if (aligned) {
    common.assign(a.size() + 1, std::vector<std::uint32_t>(b.size() + 1));
    for (std::size_t i = a.size(); i-- > 0;) {
      for (std::size_t j = b.size(); j-- > 0;)
        common[i][j] =
            Same(*a[i], *b[j]) ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    }
  }
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (aligned && i < a.size() && j < b.size() && Same(*a[i], *b[j])) {
      ++i;
      ++j;
    } else if (i < a.size() && (!aligned || j == b.size() || common[i + 1][j] >= common[i][j + 1])) {
      out.push_back({false, *a[i++]});
    } else {
      out.push_back({true, *b[j++]});
    }
  }
}

void DiffRegister(const Sequence& a, const Sequence& b, std::vector<BootDifference>& out) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t start = 0, end = 0;
  while (start < shorter && Same(*a[start], *b[start])) ++start;
  while (end < shorter - start && Same(*a[a.size() - 1 - end], *b[b.size() - 1 - end])) ++end;
  const auto middle = [&](const Sequence& s) {
    return Sequence(s.begin() + static_cast<std::ptrdiff_t>(start),
                    s.end() - static_cast<std::ptrdiff_t>(end));
  };
  DiffMiddle(middle(a), middle(b), out);
}

}  // namespace

std::string EventLabel(const Examined& x, std::size_t i) {
  const auto& body = x.decoded[i].body;
  if (const auto* v = std::get_if<Variable>(&body)) {
    const auto* option = std::get_if<LoadOption>(&v->meaning);
    return Printable(option == nullptr ? v->name : v->name + ": " + option->description);
  }
  if (const auto* image = std::get_if<ImageLoad>(&body)) return DevicePathText(image->device_path);
  if (const auto* gpt = std::get_if<Gpt>(&body)) return "disk " + gpt->disk.ToString();
  if (const auto* blob = std::get_if<FirmwareBlob>(&body); blob != nullptr && blob->description.empty())
    return fmt::format("{} bytes at {:#x}", blob->length, blob->base);
  if (const auto* text = std::get_if<Text>(&body)) return Printable(text->prefix + text->text);
  if (const auto* ima = std::get_if<ImaTemplate>(&body)) return Printable(ima->name + " " + ima->path);
  return Printable(x.TextOf(i));
}

ExpectedBoot Learn(const Examined& x) {
  ExpectedBoot out;
  out.bank = x.bank;
  out.registers = x.log->registers;
  out.startup_locality = Replay(*x.log).startup_locality;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    if (!e.measured()) continue;
    const LogDigest* digest = e.Find(x.bank);
    out.events.push_back(
        {e.index, EventTypeName(e.type), digest == nullptr ? "" : Hex(digest->bytes), EventLabel(x, i)});
  }
  return out;
}

std::vector<OpenRegister> NotCompared(const ExpectedBoot& before, const ExpectedBoot& after) {
  std::vector<OpenRegister> out = before.open;
  for (const OpenRegister& r : after.open) {
    if (std::none_of(out.begin(), out.end(), [&](const OpenRegister& o) { return o.index == r.index; }))
      out.push_back(r);
  }
  return out;
}

Result<std::vector<BootDifference>> Diff(const ExpectedBoot& before, const ExpectedBoot& after) {
  if (before.bank != after.bank || before.registers != after.registers)
    return Fail(
        StateError(BootError::kNotComparable, "the two boots have different banks or kinds of registers"));
  const auto a = ByRegister(before), b = ByRegister(after);
  std::set<std::uint32_t> indexes;
  for (const auto& [index, events] : a) indexes.insert(index);
  for (const auto& [index, events] : b) indexes.insert(index);
  for (const OpenRegister& r : NotCompared(before, after)) indexes.erase(r.index);
  std::vector<BootDifference> out;
  const auto of = [](const std::map<std::uint32_t, Sequence>& all, std::uint32_t index) {
    const auto it = all.find(index);
    return it == all.end() ? Sequence() : it->second;
  };
  for (std::uint32_t index : indexes) DiffRegister(of(a, index), of(b, index), out);
  return out;
}

}  // namespace assay::boot
