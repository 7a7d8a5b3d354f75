#include "appraise/redaction.h"

#include <algorithm>
#include <set>
#include <utility>

#include "appraise/errors.h"
#include "base/json.h"
#include "list/path_text.h"
#include "measure/system/violation_record.h"

namespace assay::appraise {
namespace {

constexpr std::size_t kMaxOwnBuffer = 1 << 20;
// What the attester says of itself, and what changes the machine for every container.
constexpr std::string_view kShownOwn[] = {"assay-start",    "assay-policy", "assay-manifest", "assay-engine",
                                          "assay-handover", "assay-stop",   "assay-cap",      "assay-kexec"};

enum class Whose { kContainers, kAttesters, kOthers };

class Redactor {
 public:
  Redactor(const SavedRound& round, const evidence::ContainerPattern& container)
      : round_(round), container_(container) {}

  Result<Redacted> Run() {
    ASSAY_ASSIGN(const evidence::Claims claims, evidence::ParseClaims(round_.evidence.claims));
    if (round_.redaction)
      return Fail(StateError(RedactError::kAgain,
                             "the round is redacted already, for " + round_.redaction->container.Text()));
    if (round_.first_record != 0)
      return Fail(StateError(RedactError::kNotWhole,
                             "the round has no records before " + std::to_string(round_.first_record)));
    ASSAY_TRY(ReadContext());
    ASSAY_ASSIGN(const std::vector<ima::RecordView> records, Records(claims.list_bank));
    FindComponents(records);
    Redacted out;
    out.round = round_;
    Writer list;
    for (const ima::RecordView& record : records) Take(record, claims.list_bank, out, list);
    if (out.shown == 0)
      return Fail(StateError(RedactError::kNoContainer,
                             "no record of the list names the control group of " + container_.Text()));
    out.round.evidence.list = list.Take();
    out.round.evidence.context.clear();
    out.round.before = HostState{};  // it tells what was found about others
    out.round.redaction =
        Redaction{.container = container_, .context = Hash(HashAlg::kSha256, round_.evidence.context)};
    return out;
  }

 private:
  bool Fits(std::string_view cgroup) const {
    const std::optional<evidence::Container> in = evidence::ContainerIn(cgroup);
    return in && container_.Fits(*in);
  }

  // Only violations are told by the context: their records never name a control group.
  Result<> ReadContext() {
    ASSAY_ASSIGN(const std::vector<evidence::ContextEntry> lines,
                 evidence::ParseContext(round_.evidence.context));
    for (const evidence::ContextEntry& line : lines)
      if (Fits(line.cgroup)) loaded_.insert(line.index);
    return {};
  }

  Result<std::vector<ima::RecordView>> Records(HashAlg bank) const {
    std::vector<ima::RecordView> records;
    ima::ListReader reader(round_.evidence.list, bank);
    while (true) {
      ASSAY_ASSIGN(const std::optional<ima::RecordView> record, reader.Next());
      if (!record) return records;
      records.push_back(*record);
    }
  }

  void FindComponents(const std::vector<ima::RecordView>& records) {
    for (const ima::RecordView& record : records) {
      const Result<ima::Entry> entry = ima::Decode(record);
      if (!entry || (entry->path != "assay-start" && entry->path != "assay-handover")) continue;
      const Result<JsonDoc> doc = JsonDoc::Parse(AsText(entry->buffer), "own-record", kMaxOwnBuffer);
      const Result<JsonValue> components =
          doc ? doc->root().Array("components") : Result<JsonValue>(Fail(doc.error()));
      if (!components) continue;  // the verifier names the fault
      (void)components->Each([&](const JsonValue& v) -> Result<> {
        ASSAY_ASSIGN(std::string path, v.AsStr());
        components_.insert(ima::PathText(std::move(path)));
        return {};
      });
    }
  }

  Whose Of(const ima::RecordView& record, const Result<ima::Entry>& entry) const {
    if (!entry) return Whose::kOthers;
    if (record.violation()) return loaded_.contains(record.index) ? Whose::kContainers : Whose::kOthers;
    if (Fits(entry->cgroup)) return Whose::kContainers;
    const bool own =
        record.template_name == ima::TemplateName(ima::Template::kBuf) &&
        std::find(std::begin(kShownOwn), std::end(kShownOwn), entry->path) != std::end(kShownOwn);
    // A record with a control group would tell of a service that loads the same library.
    const bool component = components_.contains(entry->path) && entry->cgroup.empty();
    return own || component || record.index == 0 ? Whose::kAttesters : Whose::kOthers;
  }

  // A group has one template hash, so it is shown only if none of its entries is another's.
  Whose OfGroup(const ima::RecordView& record, const ima::Entry& group, std::uint64_t& containers) const {
    const Result<std::vector<ima::InnerRecord>> inner = ima::DecodeGroup(group.buffer);
    if (!inner) return Whose::kOthers;
    bool others = false;
    for (const ima::InnerRecord& i : *inner) {
      const auto [view, entry] = ima::OpenInner(record, i);
      const Whose whose = Of(view, entry);
      if (whose == Whose::kContainers) ++containers;
      if (whose == Whose::kOthers) others = true;
    }
    return others ? Whose::kOthers : Whose::kContainers;
  }

  void Take(const ima::RecordView& record, HashAlg bank, Redacted& out, Writer& list) {
    const Result<ima::Entry> entry = ima::Decode(record);
    std::uint64_t containers = 0;
    // The program of a violation stands in the record after it.
    const bool beside = std::exchange(beside_, false) && entry && entry->path == measure::kViolationRecord;
    const bool group = entry && !record.violation() && entry->path == ima::kGroupName;
    const Whose whose = group    ? OfGroup(record, *entry, containers)
                        : beside ? Whose::kContainers
                                 : Of(record, entry);
    if (whose == Whose::kOthers) {
      ++out.withheld;
      out.in_groups += containers;
      const Digest digest = record.violation() ? Digest::Filled(bank, 0)
                                               : ima::TemplateDigest(bank, record.template_name, record.data);
      list.Put(ima::EncodeRecord(record.pcr, digest, kWithheldName, {}));
      return;
    }
    beside_ = record.violation();
    if (whose == Whose::kContainers) ++out.shown;
    list.Put(record.raw);
  }

  const SavedRound& round_;
  const evidence::ContainerPattern& container_;
  std::set<std::uint64_t> loaded_;  // records of what the container loaded, as the context says
  std::set<std::string, std::less<>> components_;
  bool beside_ = false;  // the record before this one is a violation that is shown
};

}  // namespace

Result<Redacted> Redact(const SavedRound& round, const evidence::ContainerPattern& container) {
  return Redactor(round, container).Run();
}

}  // namespace assay::appraise
