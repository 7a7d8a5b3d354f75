#include <algorithm>
#include <array>

#include "list/list.h"

namespace assay::ima {
namespace {

constexpr std::size_t kImaName = 256;  // the "ima" template hashes its name padded to so many bytes
constexpr std::size_t kMaxWrongHints = 1000;

Digest TemplateDigestWith(Hasher& hasher, std::string_view template_name, ByteView data) {
  if (template_name != "ima" || data.size() < 24) return hasher.Update(data).Finish();
  std::array<std::uint8_t, kImaName> name{};
  const ByteView given = data.subspan(24);
  std::copy_n(given.begin(), std::min(given.size(), name.size()), name.begin());
  return hasher.Update(data.first(20)).Update(name).Finish();
}

}  // namespace

Digest TemplateDigest(HashAlg bank, std::string_view template_name, ByteView data) {
  Hasher hasher(bank);
  return TemplateDigestWith(hasher, template_name, data);
}

Digest ExtendValue(HashAlg bank, const RecordView& record) {
  if (record.violation()) return Digest::Filled(bank, 0xFF);
  return TemplateDigest(bank, record.template_name, record.data);
}

Replay::Replay(HashAlg bank, std::uint32_t pcr) : value_(Digest::Filled(bank, 0)), pcr_(pcr) {}

Replay Replay::FromState(const Digest& value, std::uint64_t count, std::uint32_t pcr) {
  Replay replay(value.alg(), pcr);
  replay.value_ = value;
  replay.count_ = count;
  return replay;
}

Replay::Step Replay::Add(const RecordView& record) {
  ++count_;
  const HashAlg bank = value_.alg();
  const bool violation = record.violation();
  const Digest extended = ExtendValue(bank, record);
  const bool hint = violation || Equal(extended.view(), record.template_digest);
  if (record.pcr == pcr_) value_ = ExtendPcr(value_, extended);
  return {hint, violation};
}

Result<ReplayResult> ReplayList(ByteView list, HashAlg list_bank, const std::vector<HashAlg>& banks,
                                std::uint32_t pcr) {
  std::vector<RecordView> records;
  ListReader reader(list, list_bank);
  ReplayResult result;
  while (true) {
    ASSAY_ASSIGN(const std::optional<RecordView> record, reader.Next());
    if (!record) break;
    if (record->violation()) ++result.violations;
    records.push_back(*record);
  }
  result.count = records.size();
  for (HashAlg bank : banks) {
    Replay replay(bank, pcr);
    for (const RecordView& record : records) {
      const Replay::Step step = replay.Add(record);
      if (bank == list_bank && !step.hint_matches && result.wrong_hints.size() < kMaxWrongHints)
        result.wrong_hints.push_back(record.index);
    }
    result.values.push_back(replay.value());
  }
  return result;
}

}  // namespace assay::ima
