#include "cli/cmd_boot.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "boot/boot_json.h"
#include "boot/errors.h"
#include "boot/pcr_text.h"
#include "boot/replay.h"
#include "boot/story.h"

namespace assay::cli {
namespace {

constexpr const char* kDefaultLog = "/sys/kernel/security/tpm0/binary_bios_measurements";
constexpr std::size_t kMaxPcrText = std::size_t{1} << 20;

}  // namespace

Result<std::unique_ptr<LoadedLog>> Load(const BootOptions& o) {
  auto loaded = std::make_unique<LoadedLog>();
  ASSAY_ASSIGN(loaded->bytes, ReadFile(o.file, boot::kMaxLog));
  boot::ParseOptions options;
  if (o.registers == "pcr") options.registers = boot::Registers::kPcr;
  if (o.registers == "cc") options.registers = boot::Registers::kCc;
  options.format = boot::FormatFromName(o.format);
  auto log = boot::ParseEventLog(loaded->bytes, options);
  if (!log) return Fail(log.error().In(o.file));
  loaded->log = std::move(*log);
  return loaded;
}

Result<HashAlg> BankOf(const BootOptions& o, const boot::EventLog& log) {
  const std::vector<HashAlg> banks = log.Banks();
  if (o.bank.empty()) {
    const auto bank = log.DefaultBank();
    if (!bank)
      return Fail(
          StateError(boot::BootError::kNoBank, "the log has no bank whose hash can be computed here"));
    return *bank;
  }
  const auto bank = HashFromName(o.bank);
  if (!bank) return Fail(UsageError("--bank: unknown hash algorithm " + o.bank));
  if (std::find(banks.begin(), banks.end(), *bank) == banks.end())
    return Fail(StateError(boot::BootError::kNoBank, "the log has no bank " + o.bank));
  return *bank;
}

namespace {

std::string EventNumbers(const std::vector<std::uint64_t>& events) {
  constexpr std::size_t kShown = 8;
  std::string out;
  for (std::size_t i = 0; i < events.size() && i < kShown; ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ", ", events[i]);
  if (events.size() > kShown) out += fmt::format(" and {} more", events.size() - kShown);
  return out;
}

void PrintProblems(const std::vector<boot::Problem>& problems) {
  for (const boot::Problem& p : problems)
    fmt::print("  {:<8} {}: {}{}\n", boot::SeverityName(p.severity), p.name, p.text,
               p.events.empty() ? "" : fmt::format(" (event {})", EventNumbers(p.events)));
}

void PrintStoryLine(const boot::StoryLine& line) {
  fmt::print("  {:<18} {:<12} {}\n", line.topic, boot::GradeName(line.grade), line.text);
  for (const std::string& detail : line.details) fmt::print("  {:<18} {:<12}   {}\n", "", "", detail);
  if (!line.digest.empty()) fmt::print("  {:<18} {:<12}   {}\n", "", "", line.digest);
  if (line.grade != boot::Grade::kProven && !line.reason.empty())
    fmt::print("  {:<18} {:<12}   ({})\n", "", "", line.reason);
}

void PrintEvents(const boot::Examined& x) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const boot::Event& e = x.event(i);
    const boot::LogDigest* digest = e.Find(x.bank);
    fmt::print("  {:>4} {:<8} {:<34} {:<12} {} {}\n", e.number, boot::RegisterName(x.log->registers, e.index),
               boot::EventTypeName(e.type), boot::GradeName(x.proofs[i].grade),
               digest != nullptr ? Hex(digest->bytes) : "-", boot::EventLabel(x, i));
  }
}

Result<int> Show(const BootOptions& o, bool as_json) {
  ASSAY_ASSIGN(const std::unique_ptr<LoadedLog> loaded, Load(o));
  const boot::EventLog& log = loaded->log;
  ASSAY_ASSIGN(const HashAlg bank, BankOf(o, log));
  const boot::Examined x = boot::Examine(log, bank);
  if (as_json) {
    boot::WriteBootJson(log, x, stdout, TimeText(NowMs()));
    return kExitOk;
  }
  std::string banks;
  for (const boot::AlgorithmSize& a : log.algorithms) {
    const auto alg = HashFromTpmAlg(a.alg);
    banks += fmt::format("{}{}", banks.empty() ? "" : ", ",
                         alg ? std::string(HashName(*alg)) : fmt::format("{:#06x}", a.alg));
  }
  fmt::print("{}: {} events, {} ({}), examined in bank {}\n\n", Printable(o.file), log.events.size(),
             boot::FormatName(log.format), banks, HashName(bank));
  boot::TellBoot(x, PrintStoryLine);
  if (o.events) {
    fmt::print("\nevents\n");
    PrintEvents(x);
  }
  fmt::print("\nregisters that this log replays to\n");
  const boot::Replayed replayed = boot::Replay(log);
  for (const auto& [index, r] : replayed.banks.at(bank))
    fmt::print("  {:<8} {}\n", boot::RegisterName(log.registers, index),
               r.no_value.empty() ? r.value.hex() : "no value: " + r.no_value);
  const std::vector<boot::Problem> problems = boot::Check(x);
  fmt::print("\n{}\n", problems.empty() ? "no problem found" : "problems");
  PrintProblems(problems);
  fmt::print("\nThis is the log's claim. It is proven if the registers above match a verified quote.\n");
  return kExitOk;
}

std::string_view BankText(std::uint16_t bank) {
  const auto alg = HashFromTpmAlg(bank);
  return alg ? HashName(*alg) : "?";
}

// Whether the operating system goes on extending the register after the end of the log. A mismatch there is
// no evidence against the log.
bool ExtendedAtRunTime(boot::Registers registers, std::uint32_t index) {
  constexpr std::uint32_t kFirstOfSystem = 10, kShim = 14;
  return registers == boot::Registers::kPcr ? index >= kFirstOfSystem && index != kShim : index >= 3;
}

// Takes the values of a file that are not compared out of `values`. only: use only the values of this bank.
std::vector<boot::LeftOutValue> LeaveOut(const BootOptions& o, boot::Registers registers,
                                         std::optional<HashAlg> only, tpm::PcrValues& values) {
  std::vector<boot::LeftOutValue> out;
  for (auto& [id, of_bank] : values) {
    const std::uint16_t bank = id;
    std::erase_if(of_bank, [&](const auto& v) {
      if (only && bank != static_cast<std::uint16_t>(*only))
        out.push_back({bank, v.first, "the expected boot is of another bank"});
      else if (!o.all && ExtendedAtRunTime(registers, v.first))
        out.push_back({bank, v.first, "the system extends it after the log ends (--all)"});
      else
        return false;
      return true;
    });
  }
  return out;
}

Result<tpm::PcrValues> GivenValues(const BootOptions& o, boot::Registers registers,
                                   std::optional<HashAlg> only, std::vector<boot::LeftOutValue>& left_out) {
  tpm::PcrValues given;
  if (!o.pcrs.empty()) {
    ASSAY_ASSIGN(const Bytes text, ReadFile(o.pcrs, kMaxPcrText));
    auto values = boot::ParsePcrText(AsText(text));
    if (!values) return Fail(values.error().In(o.pcrs));
    given = std::move(*values);
    left_out = LeaveOut(o, registers, only, given);
  }
  for (const std::string& value : o.values) {
    if (auto added = boot::AddPcrValue(value, given); !added)
      return Fail(UsageError("--pcr-value " + Printable(value) + ": " + added.error().Message()));
  }
  return given;
}

// The bank to examine the log in. It must be a bank that was compared, because the digests of other banks are
// only claims of the log.
std::optional<HashAlg> ComparedBank(const std::vector<boot::Comparison>& comparisons,
                                    const boot::EventLog& log) {
  for (HashAlg bank :
       {HashAlg::kSha256, HashAlg::kSha512, HashAlg::kSha384, HashAlg::kSm3_256, HashAlg::kSha1}) {
    for (const boot::Comparison& c : comparisons) {
      if (c.bank == static_cast<std::uint16_t>(bank) && c.outcome != boot::Outcome::kUnknown) return bank;
    }
  }
  return log.DefaultBank();
}

// A match in SM3 counts only for a user who accepts SM3 with --bank.
void AcceptOnly(std::optional<HashAlg> given, std::vector<boot::Comparison>& comparisons) {
  for (boot::Comparison& c : comparisons) {
    if (c.bank != static_cast<std::uint16_t>(HashAlg::kSm3_256) || given == HashAlg::kSm3_256 ||
        c.outcome != boot::Outcome::kMatch)
      continue;
    c.outcome = boot::Outcome::kUnknown;
    c.reason = "it matches, but this bank is accepted only with --bank sm3_256";
  }
}

void ExplainByExit(const boot::EventLog& log, const boot::Replayed& replayed, bool allowed,
                   std::vector<boot::Comparison>& comparisons) {
  for (boot::Comparison& c : comparisons) {
    const auto bank = HashFromTpmAlg(c.bank);
    if (c.outcome != boot::Outcome::kMismatch || !bank) continue;
    c.missing_exit = boot::MissingExit(log, replayed, *bank, c.index, c.given);
    if (c.missing_exit.empty()) continue;
    c.reason = fmt::format(
        "the log lacks the firmware's two events of ExitBootServices; with their digests {} and {} it "
        "replays to this value{}",
        c.missing_exit[0].hex(), c.missing_exit[1].hex(), allowed ? "" : " (--allow-missing-exit)");
    if (allowed) c.outcome = boot::Outcome::kMatch;
  }
}

void PrintComparison(boot::Registers registers, const boot::Comparison& c) {
  fmt::print("{:<7} {:<8} {}{}\n", BankText(c.bank), boot::RegisterName(registers, c.index),
             boot::OutcomeName(c.outcome), c.reason.empty() ? "" : ": " + c.reason);
  if (c.outcome == boot::Outcome::kMismatch && c.replayed)
    fmt::print("  given    {}\n  replayed {}\n", c.given.hex(), c.replayed->hex());
}

// One line for each bank and reason.
void PrintNotCompared(boot::Registers registers, const std::vector<boot::LeftOutValue>& left_out) {
  std::map<std::pair<std::uint16_t, std::string>, std::string> lines;
  for (const boot::LeftOutValue& n : left_out) {
    std::string& names = lines[{n.bank, n.reason}];
    names += (names.empty() ? "" : ", ") + boot::RegisterName(registers, n.index);
  }
  for (const auto& [key, names] : lines)
    fmt::print("{:<7} not compared: {}: {}\n", BankText(key.first), names, key.second);
}

Result<int> Verify(const BootOptions& o, const Session& session) {
  if (o.values.empty() && o.pcrs.empty())
    return Fail(
        UsageError("boot verify: give the values to compare with: --pcr-value ALG:INDEX:HEX or --pcrs FILE"));
  ASSAY_ASSIGN(const std::optional<boot::ExpectedBoot> expected, ExpectedIn(o.file));
  std::unique_ptr<LoadedLog> loaded;
  if (!expected) {
    ASSAY_ASSIGN(loaded, Load(o));
  }
  const boot::Replayed replayed = expected ? boot::Replay(*expected) : boot::Replay(loaded->log);
  std::vector<boot::LeftOutValue> left_out;
  ASSAY_ASSIGN(
      const tpm::PcrValues given,
      GivenValues(o, replayed.registers, expected ? std::optional(expected->bank) : std::nullopt, left_out));
  const auto judged = o.bank.empty() ? std::nullopt : HashFromName(o.bank);
  if (!o.bank.empty() && !judged) return Fail(UsageError("--bank: unknown hash algorithm " + o.bank));
  std::vector<boot::Comparison> comparisons = boot::Compare(replayed, given);
  if (loaded) ExplainByExit(loaded->log, replayed, o.allow_missing_exit, comparisons);
  AcceptOnly(judged, comparisons);
  const auto has = [&](boot::Outcome outcome) {
    return std::any_of(comparisons.begin(), comparisons.end(),
                       [outcome](const boot::Comparison& c) { return c.outcome == outcome; });
  };
  std::vector<boot::Problem> problems;
  if (loaded) {
    std::optional<HashAlg> bank = ComparedBank(comparisons, loaded->log);
    if (judged) {
      ASSAY_ASSIGN(bank, BankOf(o, loaded->log));
    }
    if (bank) problems = boot::Check(boot::Examine(loaded->log, *bank));
  }
  const bool bent = std::any_of(problems.begin(), problems.end(),
                                [](const boot::Problem& p) { return p.severity == boot::Severity::kError; });
  const int code = has(boot::Outcome::kMismatch) || (o.strict && bent)   ? kExitNotTrusted
                   : comparisons.empty() || has(boot::Outcome::kUnknown) ? kExitUnknown
                                                                         : kExitOk;
  const std::string_view outcome = code == kExitOk ? "match" : code == kExitUnknown ? "unknown" : "mismatch";
  if (session.json) {
    session.AnswerText(boot::ComparisonJson(comparisons, left_out, problems, outcome));
    return code;
  }
  for (const boot::Comparison& c : comparisons) PrintComparison(replayed.registers, c);
  PrintNotCompared(replayed.registers, left_out);
  if (!problems.empty()) fmt::print("problems{}\n", o.strict ? "" : " (errors count with --strict)");
  PrintProblems(problems);
  fmt::print("{}\n", outcome);
  return code;
}

}  // namespace

void AddBoot(Command app, Session& session) {
  auto options = std::make_shared<BootOptions>();
  Command boot = app.AddCommand("boot", "Show, verify and compare boot event logs");
  boot.RequireCommand();
  const auto common = [options](Command sub) {
    options->file = kDefaultLog;
    sub.AddOption("file", options->file, "The event log").ShowDefault();
    sub.AddOption("--registers", options->registers, "The registers that its indices number")
        .OneOf({"auto", "pcr", "cc"})
        .ShowDefault();
    sub.AddOption("--format", options->format, "The format of the log")
        .OneOf({"auto", "tcg-1.2", "crypto-agile", "cel-tlv"})
        .ShowDefault();
  };
  Command show = boot.AddCommand("show", "Show what a log tells, and how far it is proven");
  common(show);
  show.AddOption("--bank", options->bank,
                 "Examine the digests of this bank (default: sha256 if the log has it)");
  show.AddFlag("--events", options->events, "List the events too");
  show.OnRun([options, &session] { session.Finish(Show(*options, session.json)); });
  Command verify =
      boot.AddCommand("verify", "Replay a log and compare (0 match, 1 mismatch, 2 could not tell)");
  common(verify);
  verify.AddOption("--pcr-value", options->values, "ALG:INDEX:HEX, may be repeated");
  verify.AddOption("--pcrs", options->pcrs, "A file of PCR values in the format of tpm2_pcrread");
  verify.AddFlag("--all", options->all,
                 "Compare also those registers of --pcrs that the system extends after the log ends");
  verify.AddOption("--bank", options->bank, "Examine the digests of this bank; accepts sm3_256");
  verify.AddFlag("--allow-missing-exit", options->allow_missing_exit,
                 "Accept a log that matches only with the two missing events of ExitBootServices");
  verify.AddFlag("--strict", options->strict, "Count an error in the log's order or content as a mismatch");
  Command learn = boot.AddCommand("learn", "Write the measurements of a boot as an expected boot (JSON)");
  common(learn);
  learn.AddOption("--bank", options->bank, "Which bank's digests");
  learn.OnRun([options, &session] { session.Finish(LearnBoot(*options, session)); });
  Command predict =
      boot.AddCommand("predict", "Calculate what the next boot will measure, from the files of an update");
  common(predict);
  predict.AddOption("--bank", options->bank, "Which bank's digests");
  predict.AddOption("--replace", options->files,
                    "OLD NEW: files of this boot and of the next; may be repeated");
  predict.AddOption("--replace-text", options->texts,
                    "OLD NEW: in command lines and GRUB's commands; may be repeated");
  predict.OnRun([options, &session] { session.Finish(PredictBoot(*options, session)); });
  Command diff = boot.AddCommand(
      "diff",
      "Compare boots, logs or expected ones (0 the same, 1 different, 2 a part could not be compared)");
  diff.AddOption("boots", options->boots, "BEFORE... AFTER: compares the last one with each of the others")
      .Required();
  diff.AddOption("--bank", options->bank, "The bank of a log's digests");
  diff.OnRun([options, &session] { session.Finish(DiffBoots(*options, session)); });
  verify.OnRun([options, &session] { session.Finish(Verify(*options, session)); });
}

}  // namespace assay::cli
