// The command `assay log verify`.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "boot/pcr_text.h"
#include "cli/cmd_log.h"

namespace assay::cli {
namespace {

using nlohmann::json;

// The replay in one bank.
struct Bank {
  HashAlg alg = HashAlg::kSha256;
  ima::BankHash how = ima::BankHash::kOwn;
  std::optional<Digest> given;  // --pcr-value
  std::optional<Digest> value;  // after the whole list; empty if it can't be computed
  std::string remark;           // the possible cause of a mismatch
  bool matches() const { return given && value && *given == *value; }
};

// "sha256:10:ab12", as `boot verify` takes it, or "sha256:ab12": the value of this PCR.
Result<Digest> ParseValue(const std::string& text, std::uint32_t pcr) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return Fail(UsageError("not ALG:INDEX:HEX: " + text));
  if (text.find(':', colon + 1) != std::string::npos) {
    tpm::PcrValues values;
    if (auto added = boot::AddPcrValue(text, values); !added)
      return Fail(UsageError(Printable(text) + ": " + added.error().Message()));
    const auto [index, value] = *values.begin()->second.begin();
    if (index != pcr)
      return Fail(UsageError(fmt::format("{}: PCR {} is replayed; --pcr {}", Printable(text), pcr, index)));
    return value;
  }
  ASSAY_ASSIGN(const HashAlg alg, ParseBank(text.substr(0, colon)));
  std::string_view hex = std::string_view(text).substr(colon + 1);
  if (hex.starts_with("0x")) hex.remove_prefix(2);
  const auto bytes = FromHex(hex);
  const auto digest = bytes ? Digest::Of(alg, *bytes) : Result<Digest>(Fail(bytes.error()));
  if (!digest) return Fail(UsageError(text + ": " + digest.error().Message()));
  return *digest;
}

class Verification {
 public:
  static Result<Verification> Prepare(const VerifyOptions& o) {
    Verification v(o);
    ASSAY_ASSIGN(const std::optional<HashAlg> list_bank, ParseOptionalBank(o.list_bank));
    ASSAY_ASSIGN(v.file_, ListFile::Read(o.file, list_bank));
    v.AddBank(v.file_.bank());
    for (const std::string& name : o.banks) {
      ASSAY_ASSIGN(const HashAlg alg, ParseBank(name));
      v.AddBank(alg);
    }
    for (const std::string& text : o.pcr_values) {
      ASSAY_ASSIGN(const Digest given, ParseValue(text, o.pcr));
      Bank& bank = v.AddBank(given.alg());
      if (bank.given) return Fail(UsageError("two values for " + std::string(HashName(bank.alg))));
      bank.given = given;
    }
    for (const std::string& name : o.padded_sha1) {
      ASSAY_ASSIGN(const HashAlg alg, ParseBank(name));
      v.AddBank(alg).how = o.padded_violations ? ima::BankHash::kPaddedAll : ima::BankHash::kPaddedSha1;
    }
    for (const std::string& text : o.prefix) {
      ASSAY_ASSIGN(const Digest value, ParseValue(text, o.pcr));
      v.prefix_.push_back(value);
    }
    ASSAY_TRY(v.CheckPrefix());
    return v;
  }

  // Replays the whole list, or the records before the first malformed one.
  Result<> Replay() {
    ByteView list = file_.list();
    std::vector<ima::Replay> states = States();
    Result<ima::ReplayResult> replayed = ima::ContinueReplay(list, file_.bank(), states);
    if (!replayed) {
      malformed_ = replayed.error();
      list = WholeRecords(list);
      replayed = ima::ContinueReplay(list, file_.bank(), states);
    }
    if (!replayed) return Fail(replayed.error());
    result_ = *std::move(replayed);
    std::size_t next = 0;
    for (Bank& bank : banks_) {
      if (CanHash(bank.alg)) bank.value = result_.values[next++];
      if (bank.given && bank.value && !bank.matches()) bank.remark = Explain(bank, list);
    }
    CountEntries(list);
    return {};
  }

  int ExitCode() const {
    const bool wrong = malformed_ || result_.wrong_hint_count > 0 ||
                       std::any_of(banks_.begin(), banks_.end(),
                                   [](const Bank& b) { return b.given && b.value && !b.matches(); });
    if (wrong) return kExitNotTrusted;
    const bool compared =
        std::any_of(banks_.begin(), banks_.end(), [](const Bank& b) { return b.given.has_value(); });
    const bool all =
        std::all_of(banks_.begin(), banks_.end(), [](const Bank& b) { return !b.given || b.value; });
    return compared && all ? kExitOk : kExitUnknown;
  }

  void Print() const {
    fmt::print("{} records from number {}, {} violations, columns of {}\n", result_.count,
               options_.first_record, result_.violations, HashName(file_.bank()));
    if (foreign_ > 0) fmt::print("{} records are for other PCRs\n", foreign_);
    if (undecodable_ > 0) fmt::print("{} records can't be decoded\n", undecodable_);
    if (incomparable_ > 0)
      fmt::print("{} file digests have an unknown algorithm and can't be compared\n", incomparable_);
    for (const std::uint64_t index : result_.wrong_hints)
      fmt::print("record {}: the template hash in the list is not that of its data\n", index);
    if (result_.wrong_hint_count > result_.wrong_hints.size())
      fmt::print("and {} more such records\n", result_.wrong_hint_count - result_.wrong_hints.size());
    for (const Bank& b : banks_) PrintBank(b);
    if (malformed_) fmt::print("the list is incomplete: {}\n", malformed_->Message());
    if (ExitCode() == kExitUnknown)
      fmt::print("not compared with every PCR: no verdict (--pcr-value ALG:INDEX:HEX)\n");
  }

  json Json() const {
    json banks = json::array();
    for (const Bank& b : banks_) {
      json out = {{"bank", HashName(b.alg)}, {"padded_sha1", b.how != ima::BankHash::kOwn}};
      if (b.value) out["value"] = b.value->hex();
      if (b.given) out["given"] = b.given->hex();
      if (b.given && b.value) out["match"] = b.matches();
      if (!b.remark.empty()) out["remark"] = b.remark;
      banks.push_back(out);
    }
    const int code = ExitCode();
    json out = {{"result", code == kExitOk        ? "match"
                           : code == kExitUnknown ? "unknown"
                                                  : "mismatch"},
                {"records", result_.count},
                {"first_record", options_.first_record},
                {"violations", result_.violations},
                {"pcr", options_.pcr},
                {"list_bank", HashName(file_.bank())},
                {"other_pcrs", foreign_},
                {"undecodable", undecodable_},
                {"unknown_algorithms", incomparable_},
                {"wrong_template_hashes", result_.wrong_hint_count},
                {"wrong_records", result_.wrong_hints},
                {"banks", banks}};
    if (malformed_) out["error"] = {{"code", malformed_->code()}, {"message", malformed_->Message()}};
    return out;
  }

 private:
  explicit Verification(const VerifyOptions& o) : options_(o) {}

  Bank& AddBank(HashAlg alg) {
    for (Bank& bank : banks_)
      if (bank.alg == alg) return bank;
    Bank& bank = banks_.emplace_back();
    bank.alg = alg;
    return bank;
  }

  Result<> CheckPrefix() const {
    if (options_.first_record == 0) return {};
    for (const Bank& bank : banks_) {
      const bool known = std::any_of(prefix_.begin(), prefix_.end(),
                                     [&bank](const Digest& d) { return d.alg() == bank.alg; });
      if (!known && CanHash(bank.alg))
        return Fail(UsageError(fmt::format("give the value of bank {0} before record {1}: --prefix {0}:HEX",
                                           HashName(bank.alg), options_.first_record)));
    }
    return {};
  }

  ima::Replay Start(const Bank& bank, ima::BankHash how) const {
    for (const Digest& value : prefix_) {
      if (value.alg() == bank.alg)
        return ima::Replay::FromState(value, options_.first_record, options_.pcr, how);
    }
    return ima::Replay(bank.alg, options_.pcr, how);
  }

  std::vector<ima::Replay> States() const {
    std::vector<ima::Replay> states;
    for (const Bank& bank : banks_)
      if (CanHash(bank.alg)) states.push_back(Start(bank, bank.how));
    return states;
  }

  // The records without the kexec header, whose counts would be wrong.
  ByteView WholeRecords(ByteView list) const {
    ima::ListReader reader(list, file_.bank());
    const std::uint64_t first = reader.offset();
    while (true) {
      const auto record = reader.Next();
      if (!record || !*record)
        return list.subspan(static_cast<std::size_t>(first),
                            static_cast<std::size_t>(reader.offset() - first));
    }
  }

  // Explains a mismatch: the PCR was read before the list and holds fewer records, or the kernel lacks the
  // bank's hash and has extended another value.
  std::string Explain(const Bank& bank, ByteView list) const {
    ima::Replay own = Start(bank, bank.how), padded = Start(bank, ima::BankHash::kPaddedSha1);
    std::optional<std::uint64_t> met;
    ima::ListReader reader(list, file_.bank());
    while (true) {
      if (own.value() == *bank.given) met = own.count();
      const auto record = reader.Next();
      if (!record || !*record) break;
      own.Add(**record);
      padded.Add(**record);
    }
    if (met)
      return fmt::format(
          "the value is that before record {}; it does not cover the {} record(s) from there on", *met,
          own.count() - *met);
    if (padded.value() == *bank.given)
      return fmt::format("it is that of a kernel without this hash (--padded-sha1 {})", HashName(bank.alg));
    return "";
  }

  void CountEntries(ByteView list) {
    ima::ListReader reader(list, file_.bank());
    while (true) {
      const auto record = reader.Next();
      if (!record || !*record) return;
      if ((*record)->pcr != options_.pcr) ++foreign_;
      const Result<ima::Entry> entry = ima::Decode(**record);
      if (!entry) ++undecodable_;
      if (entry && entry->file_digest && !HashFromName(entry->file_digest->alg_name)) ++incomparable_;
    }
  }

  void PrintBank(const Bank& b) const {
    const std::string name = fmt::format("{:8} PCR {}", HashName(b.alg), options_.pcr);
    if (!b.value) {
      fmt::print("{}  can't be computed here\n", name);
    } else if (!b.given) {
      fmt::print("{}  {}\n", name, b.value->hex());
    } else if (b.matches()) {
      fmt::print("{}  {}  matches\n", name, b.value->hex());
    } else {
      fmt::print("{}  {}  DOES NOT MATCH {}{}{}\n", name, b.value->hex(), b.given->hex(),
                 b.remark.empty() ? "" : ": ", b.remark);
    }
  }

  const VerifyOptions& options_;
  ListFile file_;
  std::vector<Bank> banks_;
  std::vector<Digest> prefix_;
  ima::ReplayResult result_;
  std::optional<Error> malformed_;
  std::uint64_t foreign_ = 0, undecodable_ = 0, incomparable_ = 0;
};

}  // namespace

Result<int> VerifyLog(const VerifyOptions& o, const Session& session) {
  ASSAY_ASSIGN(Verification v, Verification::Prepare(o));
  ASSAY_TRY(v.Replay());
  if (session.json)
    session.Answer(v.Json());
  else
    v.Print();
  return v.ExitCode();
}

}  // namespace assay::cli
