#include "measure/policy/policy.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "list/list.h"

namespace assay::measure {
namespace {

using Action = Policy::Action;
using Key = Policy::Key;
using Condition = Policy::Condition;
using Line = Policy::Line;

constexpr std::size_t kMaxLines = 4096;

constexpr std::pair<std::string_view, Func> kFuncs[] = {
    {"FILE_CHECK", Func::kFileCheck},
    {"PATH_CHECK", Func::kFileCheck},  // the kernel's older names
    {"FILE_MMAP", Func::kMmapCheck},
    {"MMAP_CHECK", Func::kMmapCheck},
    {"MMAP_CHECK_REQPROT", Func::kMmapCheck},
    {"BPRM_CHECK", Func::kBprmCheck},
    {"CREDS_CHECK", Func::kBprmCheck},
    {"MODULE_CHECK", Func::kModuleCheck},
    {"FIRMWARE_CHECK", Func::kFirmwareCheck},
    {"KEXEC_KERNEL_CHECK", Func::kKexecKernelCheck},
    {"KEXEC_INITRAMFS_CHECK", Func::kKexecInitramfsCheck},
    {"POLICY_CHECK", Func::kPolicyCheck},
    {"BPF_CHECK", Func::kBpfCheck},
};
constexpr std::pair<std::string_view, Access> kMasks[] = {
    {"MAY_EXEC", kMayExec}, {"MAY_WRITE", kMayWrite}, {"MAY_READ", kMayRead}, {"MAY_APPEND", kMayAppend}};

enum class Kind : std::uint8_t { kHex, kDecimal, kYesNo, kText };
struct KeyInfo {
  std::string_view name;
  Key key;
  Kind kind;
  std::uint32_t need;
};
constexpr KeyInfo kKeys[] = {
    {"fsmagic", Key::kMagic, Kind::kHex, kNeedMagic},
    {"fsname", Key::kFsName, Kind::kText, kNeedFsName},
    {"fsuuid", Key::kFsUuid, Kind::kText, kNeedFsUuid},
    {"fowner", Key::kOwner, Kind::kDecimal, kNeedOwner},
    {"fgroup", Key::kGroup, Kind::kDecimal, kNeedOwner},
    {"uid", Key::kUid, Kind::kDecimal, kNeedIds},
    {"euid", Key::kEuid, Kind::kDecimal, kNeedIds},
    {"gid", Key::kGid, Kind::kDecimal, kNeedIds},
    {"egid", Key::kEgid, Kind::kDecimal, kNeedIds},
    {"path", Key::kPath, Kind::kText, kNeedPath},
    {"code", Key::kCode, Kind::kYesNo, kNeedCode},
    {"known", Key::kKnown, Kind::kYesNo, kNeedKnown},
    {"cgroup", Key::kCgroup, Kind::kText, kNeedCgroup},
    {"interpreted", Key::kInterpreted, Kind::kYesNo, kNeedInterpreted},
    {"configuration", Key::kConfiguration, Kind::kYesNo, kNeedConfiguration},
};

constexpr std::string_view kBlank = " \t";

// The next word of a line, from `at` on. A blank after a backslash belongs to it.
std::string_view TakeWord(std::string_view line, std::size_t& at) {
  at = std::min(line.find_first_not_of(kBlank, at), line.size());
  const std::size_t begin = at;
  while (at < line.size() && kBlank.find(line[at]) == std::string_view::npos)
    at = std::min(at + (line[at] == '\\' ? 2 : 1), line.size());
  return line.substr(begin, at - begin);
}

// Whether the last backslash has no character after it that it stands for.
bool EndsInBackslash(std::string_view glob) {
  const std::size_t other = glob.find_last_not_of('\\');
  return (glob.size() - (other == std::string_view::npos ? 0 : other + 1)) % 2 == 1;
}

// The word for a message, with ? for every byte that is not printable ASCII.
std::string Quoted(std::string_view word) {
  std::string out(word.substr(0, 40));
  for (char& c : out)
    if (c <= ' ' || c > '~') c = '?';
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  Result<std::vector<Line>> Parse();
  std::uint32_t needs() const { return needs_; }

 private:
  Error Bad(std::string_view at, std::string what) const {
    return ParseError("measure-policy", static_cast<std::uint64_t>(at.data() - text_.data()),
                      std::move(what));
  }
  Result<Line> ParseLine(std::string_view line);
  Result<> ParseWord(std::string_view word, Line& rule);
  Result<> ParseMask(std::string_view value, Line& rule);
  Result<> ParseTemplate(std::string_view value, Line& rule) const;
  Result<Condition> ParseCondition(const KeyInfo& info, char op, std::string_view value);

  std::string_view text_;
  std::uint32_t needs_ = 0;
};

Result<std::vector<Line>> Parser::Parse() {
  std::vector<Line> lines;
  if (text_.size() > kMaxPolicy) return Fail(ParseError("measure-policy", kMaxPolicy, "too long"));
  if (const std::size_t nul = text_.find('\0'); nul != std::string_view::npos)
    return Fail(ParseError("measure-policy", nul, "a NUL"));
  for (std::size_t at = 0; at < text_.size();) {
    const std::size_t end = std::min(text_.find('\n', at), text_.size());
    const std::string_view line = text_.substr(at, end - at);
    at = end + 1;
    const std::size_t first = line.find_first_not_of(kBlank);
    if (first == std::string_view::npos || line[first] == '#') continue;
    if (lines.size() == kMaxLines) return Fail(Bad(line, "too many rules"));
    ASSAY_ASSIGN(Line rule, ParseLine(line));
    lines.push_back(std::move(rule));
  }
  if (lines.empty()) return Fail(ParseError("measure-policy", 0, "no rule: nothing would be measured"));
  return lines;
}

Result<Line> Parser::ParseLine(std::string_view line) {
  std::size_t at = 0;
  const std::string_view word = TakeWord(line, at);
  Line rule{};
  std::string_view action = word;
  if (action.starts_with("dont_")) {
    rule.dont = true;
    action.remove_prefix(5);
  }
  if (action == "measure") {
    rule.action = Action::kMeasure;
  } else if (action == "appraise") {
    rule.action = Action::kAppraise;
  } else if (action == "audit") {
    rule.action = Action::kAudit;
  } else {
    return Fail(Bad(word, "not an action: " + Quoted(word)));
  }
  while (true) {
    const std::string_view next = TakeWord(line, at);
    if (next.empty()) return rule;
    ASSAY_TRY(ParseWord(next, rule));
  }
}

Result<> Parser::ParseWord(std::string_view word, Line& rule) {
  const std::size_t op = word.find_first_of("=<>");
  const std::string_view name = word.substr(0, op);
  const std::string_view value = op == std::string_view::npos ? "" : word.substr(op + 1);
  if (value.empty()) return Fail(Bad(word, "a condition is NAME=VALUE"));
  if (name == "func" && word[op] == '=') {
    if (rule.func) return Fail(Bad(word, "func twice"));
    const auto* func =
        std::find_if(std::begin(kFuncs), std::end(kFuncs), [&](const auto& f) { return f.first == value; });
    if (func == std::end(kFuncs)) return Fail(Bad(value, "not a supported hook: " + Quoted(value)));
    rule.func = func->second;
    return {};
  }
  if (name == "mask" && word[op] == '=') return ParseMask(value, rule);
  if (name == "template" && word[op] == '=') return ParseTemplate(value, rule);
  const auto* info =
      std::find_if(std::begin(kKeys), std::end(kKeys), [&](const KeyInfo& k) { return k.name == name; });
  if (info == std::end(kKeys)) return Fail(Bad(word, "this condition is not supported: " + Quoted(name)));
  for (const Condition& c : rule.conditions)
    if (c.key == info->key) return Fail(Bad(word, fmt::format("{} twice", name)));
  ASSAY_ASSIGN(Condition condition, ParseCondition(*info, word[op], value));
  needs_ |= info->need;
  rule.conditions.push_back(std::move(condition));
  return {};
}

Result<> Parser::ParseMask(std::string_view value, Line& rule) {
  if (rule.access != 0) return Fail(Bad(value, "mask twice"));
  std::string_view name = value;
  rule.any_of = name.starts_with('^');
  if (rule.any_of) name.remove_prefix(1);
  for (const auto& [mask, bit] : kMasks)
    if (mask == name) rule.access = bit;
  if (rule.access == 0) return Fail(Bad(value, "not MAY_EXEC, MAY_READ, MAY_WRITE or MAY_APPEND"));
  return {};
}

// As in the kernel, only a measure rule may have a template.
Result<> Parser::ParseTemplate(std::string_view value, Line& rule) const {
  if (rule.action != Action::kMeasure || rule.dont)
    return Fail(Bad(value, "only a measure rule can have a template"));
  if (rule.record_template) return Fail(Bad(value, "template twice"));
  rule.record_template = ima::TemplateFromName(value);
  if (!rule.record_template || *rule.record_template == ima::Template::kBuf)
    return Fail(Bad(value, fmt::format("not {} or {}", ima::TemplateName(ima::Template::kNg),
                                       ima::TemplateName(ima::Template::kNgCgroup))));
  return {};
}

Result<Condition> Parser::ParseCondition(const KeyInfo& info, char op, std::string_view value) {
  Condition c{.key = info.key, .op = op, .number = 0, .text = {}};
  if (op != '=' && info.kind != Kind::kDecimal)
    return Fail(Bad(value, fmt::format("{} is compared with = only", info.name)));
  if (info.kind == Kind::kYesNo) {
    if (value != "yes" && value != "no") return Fail(Bad(value, "not yes or no"));
    c.number = value == "yes" ? 1 : 0;
  } else if (info.kind == Kind::kText) {
    c.text = value;
    if (info.key == Key::kFsUuid) {
      if (value.size() != 36) return Fail(Bad(value, "not a UUID"));
      std::transform(c.text.begin(), c.text.end(), c.text.begin(),
                     [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
    }
    const bool is_glob = info.key == Key::kPath || info.key == Key::kCgroup;
    if (is_glob && !value.starts_with('/') && !value.starts_with('*'))
      return Fail(Bad(value, "a glob begins with / or *"));
    if (is_glob && EndsInBackslash(value)) return Fail(Bad(value, "a glob ends in \\"));
    if (!is_glob && value.find('\\') != std::string_view::npos)
      return Fail(Bad(value, fmt::format("{} has no \\", info.name)));
  } else {
    std::string_view digits = value;
    const int base = info.kind == Kind::kHex ? 16 : 10;
    if (base == 16 && digits.starts_with("0x")) digits.remove_prefix(2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), c.number, base);
    if (error != std::errc() || end != digits.data() + digits.size() ||
        (base == 10 && c.number > std::uint32_t(-1)))
      return Fail(Bad(value, "not a number"));
  }
  return c;
}

}  // namespace

Result<Policy> Policy::Parse(std::string_view text) {
  Parser parser(text);
  Policy policy;
  ASSAY_ASSIGN(policy.lines_, parser.Parse());
  policy.text_ = text;
  policy.needs_ = parser.needs();
  // This is needed for each measurement, so it is found once.
  for (const Line& line : policy.lines_) {
    policy.records_cgroups_ |= line.record_template == ima::Template::kNgCgroup;
    policy.appraises_ |= line.action == Action::kAppraise && !line.dont;
  }
  return policy;
}

bool Policy::Asks(Func func) const {
  return std::any_of(lines_.begin(), lines_.end(),
                     [func](const Line& l) { return !l.dont && (!l.func || *l.func == func); });
}

bool Policy::AsksInterpretersOnly() const {
  return std::all_of(lines_.begin(), lines_.end(), [](const Line& l) {
    return l.dont || (l.func && *l.func != Func::kFileCheck) ||
           std::any_of(l.conditions.begin(), l.conditions.end(), [](const Condition& c) {
             return (c.key == Key::kInterpreted || c.key == Key::kConfiguration) && c.number == 1;
           });
  });
}

namespace {

enum class Fit { kNo, kYes, kUnknown };

Fit Of(bool holds) { return holds ? Fit::kYes : Fit::kNo; }

template <typename T>
Fit Compare(const std::optional<T>& fact, const Condition& c) {
  if (!fact) return Fit::kUnknown;
  const auto value = static_cast<std::uint64_t>(*fact);
  return Of(c.op == '=' ? value == c.number : c.op == '<' ? value < c.number : value > c.number);
}
Fit CompareText(const std::optional<std::string>& fact, const Condition& c) {
  return fact ? Of(*fact == c.text) : Fit::kUnknown;
}
Fit CompareGlob(const std::optional<std::string>& fact, const Condition& c) {
  return fact ? Of(GlobMatches(c.text, *fact)) : Fit::kUnknown;
}

Fit Holds(const Condition& c, const Facts& f) {
  switch (c.key) {
    case Key::kMagic:
      return Compare(f.fs_magic, c);
    case Key::kFsName:
      return CompareText(f.fs_name, c);
    case Key::kFsUuid:
      return CompareText(f.fs_uuid, c);
    case Key::kOwner:
      return Compare(f.owner, c);
    case Key::kGroup:
      return Compare(f.group, c);
    case Key::kPath:
      return CompareGlob(f.path, c);
    case Key::kCode:
      return Compare(f.code, c);
    case Key::kKnown:
      return Compare(f.known, c);
    case Key::kInterpreted:
      return Compare(f.interpreted, c);
    case Key::kConfiguration:
      return Compare(f.configuration, c);
    case Key::kUid:
      return Compare(f.uid, c);
    case Key::kEuid:
      return Compare(f.euid, c);
    case Key::kGid:
      return Compare(f.gid, c);
    case Key::kEgid:
      return Compare(f.egid, c);
    case Key::kCgroup:
      return CompareGlob(f.cgroup, c);
  }
  return Fit::kUnknown;
}

bool Matches(const Line& line, Func func, std::uint8_t access, const Facts& facts) {
  if (line.func && *line.func != func) return false;
  if (line.access != 0 && (line.any_of ? (line.access & access) == 0 : line.access != access)) return false;
  bool unknown = false;
  for (const Condition& c : line.conditions) {
    const Fit fit = Holds(c, facts);
    if (fit == Fit::kNo) return false;
    unknown |= fit == Fit::kUnknown;
  }
  return !unknown || !line.dont;
}

}  // namespace

Ruling Policy::Rule(Func func, std::uint8_t access, const Facts& facts) const {
  Ruling ruling;
  std::array<bool, 3> decided{};
  for (const Line& line : lines_) {
    const auto kind = static_cast<std::size_t>(line.action);
    if (decided[kind] || !Matches(line, func, access, facts)) continue;
    decided[kind] = true;
    if (line.dont) continue;
    if (line.action == Action::kMeasure) ruling.record = line.record_template.value_or(ima::Template::kNg);
    (line.action == Action::kMeasure    ? ruling.measure
     : line.action == Action::kAppraise ? ruling.appraise
                                        : ruling.audit) = true;
  }
  return ruling;
}

bool GlobMatches(std::string_view glob, std::string_view path) {
  // The place to go on from when the text after the last * does not match. A later * makes the earlier ones
  // final. A single * can't match a slash, though; then the last ** has to match more.
  struct Retry {
    std::size_t glob = std::string_view::npos, path = 0;
  };
  Retry one, all;
  std::size_t g = 0, p = 0;
  while (true) {
    if (glob.substr(g).starts_with("**")) {
      g += 2;
      all = {g, p};
      one = {};
      continue;
    }
    if (g < glob.size() && glob[g] == '*') {
      one = {++g, p};
      continue;
    }
    if (g == glob.size() && p == path.size()) return true;
    bool fits = false;
    if (g < glob.size() && p < path.size()) {
      const bool literal = glob[g] == '\\' && g + 1 < glob.size();
      const std::size_t next = g + (literal ? 1 : 0);
      fits = !literal && glob[g] == '?' ? path[p] != '/' : glob[next] == path[p];
      if (fits) {
        g = next + 1;
        ++p;
      }
    }
    if (fits) continue;
    if (one.glob != std::string_view::npos && one.path < path.size() && path[one.path] != '/') {
      p = ++one.path;
      g = one.glob;
    } else if (all.glob != std::string_view::npos && all.path < path.size()) {
      p = ++all.path;
      g = all.glob;
      one = {};
    } else {
      return false;
    }
  }
}

}  // namespace assay::measure
