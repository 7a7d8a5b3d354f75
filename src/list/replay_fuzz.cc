// Binary lists: the reader, the decoder and the ASCII printer on any bytes, and two replays against each
// other: one record after the other, and in blocks on several threads, at once and from a stored state. The
// first byte selects the bank, and whether the list is repeated so that it makes many blocks.
#include "base/fuzzing.h"
#include "list/list.h"

namespace {

using namespace assay;
using namespace assay::ima;

constexpr HashAlg kBanks[] = {HashAlg::kSha1, HashAlg::kSha256, HashAlg::kSha384, HashAlg::kSha512};
constexpr std::size_t kManyBlocks = std::size_t{160} << 10;

struct Serial {
  Replay replay;
  std::uint64_t violations = 0;
  std::vector<std::uint64_t> wrong_hints;
  std::optional<Error> error;
  std::size_t half = 0;  // offset of a record in the middle
};

Serial OneByOne(ByteView list, HashAlg bank) {
  Serial s{.replay = Replay(bank), .wrong_hints = {}, .error = std::nullopt};
  ListReader reader(list, bank);
  while (true) {
    const std::uint64_t at = reader.offset();
    const auto record = reader.Next();
    if (!record) {
      Require(reader.offset() == at);
      s.error = record.error();
      return s;
    }
    if (!*record) return s;
    const RecordView& r = **record;
    Require(r.offset == at && r.index == s.replay.count() && reader.offset() == at + r.raw.size());
    Require(Equal(EncodeRecord(r.pcr, *Digest::Of(bank, r.template_digest), r.template_name, r.data), r.raw));
    Require(ToAscii(r).ends_with('\n'));
    if (const auto entry = Decode(r)) {
      std::size_t size = 0;
      for (const Field& field : entry->fields) size += field.value.size();
      Require(!entry->fields.empty() && size <= r.data.size());
    }
    const Replay::Step step = s.replay.Add(r);
    if (step.violation) ++s.violations;
    if (!step.hint_matches) s.wrong_hints.push_back(r.index);
    if (at <= list.size() / 2) s.half = static_cast<std::size_t>(reader.offset());
  }
}

void CheckAgainst(const Serial& s, const Result<ReplayResult>& result) {
  Require(result.has_value() == !s.error);
  if (!result) {
    const auto* mine = s.error->As<ParseError>();
    const auto* theirs = result.error().As<ParseError>();
    Require(mine != nullptr && theirs != nullptr && mine->offset == theirs->offset);
    return;
  }
  Require(result->values.front() == s.replay.value() && result->count == s.replay.count());
  Require(result->violations == s.violations && result->wrong_hint_count == s.wrong_hints.size());
  Require(std::equal(result->wrong_hints.begin(), result->wrong_hints.end(), s.wrong_hints.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const HashAlg bank = kBanks[data[0] % 4];
  Bytes list(data + 1, data + size);
  if ((data[0] & 0xF0) == 0xF0 && !list.empty() && !HasKexecHeader(list)) {
    const Bytes one = list;
    while (list.size() < kManyBlocks) list.insert(list.end(), one.begin(), one.end());
  }
  const Serial serial = OneByOne(list, bank);
  CheckAgainst(serial, ReplayList(list, bank, {bank}));
  if (serial.error || HasKexecHeader(list)) return 0;
  std::vector<Replay> states{Replay(bank)};
  Require(ContinueReplay(ByteView(list).first(serial.half), bank, states).has_value());
  // The second half may happen to begin like a kexec header, which only the beginning of a list has.
  if (HasKexecHeader(ByteView(list).subspan(serial.half))) return 0;
  Require(ContinueReplay(ByteView(list).subspan(serial.half), bank, states).has_value());
  Require(states.front().value() == serial.replay.value());
  Require(states.front().count() == serial.replay.count());
  return 0;
}
