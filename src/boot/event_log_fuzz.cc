// Parses any bytes as an event log. Three things must hold: a parsed event is written back unchanged; an
// independent walk over the bytes replays to the same registers; decoding, proofs, checks and story do not
// crash.
#include <cstring>
#include <map>

#include "base/text.h"
#include "boot/examine.h"
#include "boot/fuzzing.h"
#include "boot/replay.h"
#include "boot/story.h"

namespace {

using namespace assay;
using namespace assay::boot;

// An independent walk over a parsed log: the value of each register at `end` in one bank. It takes the banks'
// digest sizes from the log, and reads everything else from the bytes.
std::map<std::uint32_t, Digest> Walk(ByteView data, std::size_t end, const EventLog& log, HashAlg bank,
                                     std::uint8_t locality) {
  std::map<std::uint32_t, Digest> values;
  std::size_t at = 0;
  for (bool first = true; at < end; first = false) {
    const std::uint32_t index = U32(data, at), type = U32(data, at + 4);
    at += 8;
    ByteView digest;
    if (first || log.format == Format::kTcg12) {
      if (bank == HashAlg::kSha1) digest = data.subspan(at, 20);
      at += 20;
    } else {
      const std::uint32_t count = U32(data, at);
      at += 4;
      for (std::uint32_t i = 0; i < count; ++i) {
        const unsigned alg = data[at] | data[at + 1] << 8;
        std::size_t size = 0;
        for (const AlgorithmSize& a : log.algorithms) size = a.alg == alg ? a.size : size;
        if (alg == static_cast<unsigned>(bank)) digest = data.subspan(at + 2, size);
        at += 2 + size;
      }
    }
    at += 4 + U32(data, at);
    const std::uint32_t registers = log.registers == Registers::kPcr ? 24 : 5;
    if (type == 3 || index >= registers || digest.empty()) continue;
    auto [it, is_new] = values.try_emplace(index, Digest::Filled(bank, 0));
    if (is_new && index == 0 && log.registers == Registers::kPcr)
      it->second.data()[it->second.size() - 1] = locality;
    Bytes both = ToBytes(it->second.view());
    both.insert(both.end(), digest.begin(), digest.end());
    it->second = Hash(bank, both);
  }
  return values;
}

void CheckReplay(ByteView data, const EventLog& log) {
  const Replayed replayed = Replay(log);
  Require(replayed.startup_locality == 0 || replayed.startup_locality == 3 || replayed.startup_locality == 4);
  const std::size_t end = log.padding ? static_cast<std::size_t>(log.padding->offset) : data.size();
  for (HashAlg bank : log.Banks()) {
    const auto walked = Walk(data, end, log, bank, replayed.startup_locality);
    for (const auto& [index, r] : replayed.banks.at(bank)) {
      const auto it = walked.find(index);
      if (r.no_value.empty()) Require(it != walked.end() && it->second == r.value);
    }
    for (const auto& [index, value] : walked) Require(replayed.banks.at(bank).contains(index));
  }
}

void CheckWritten(ByteView data, const EventLog& log) {
  Bytes again;
  for (const Event& e : log.events) {
    const Bytes one = EncodeEvent(log.format, e, e.number == 0 && log.format != Format::kTcg12);
    again.insert(again.end(), one.begin(), one.end());
  }
  const std::size_t end = log.padding ? static_cast<std::size_t>(log.padding->offset) : data.size();
  Require(Equal(again, data.first(end)));
}

// The canonical format has several encodings of a number, so the written bytes may differ; they must parse to
// the same log.
void CheckCelWritten(const EventLog& log) {
  Bytes again;
  for (const Event& e : log.events) {
    if (e.index > 0xFF) return;
    const Bytes one = EncodeEvent(log.format, e);
    again.insert(again.end(), one.begin(), one.end());
  }
  const auto second = ParseEventLog(again, {log.registers});
  Require(second && second->events.size() == log.events.size());
  for (std::size_t i = 0; i < log.events.size(); ++i) {
    const Event &a = log.events[i], &b = second->events[i];
    Require(a.index == b.index && a.type == b.type && Equal(a.data, b.data) &&
            a.digests.size() == b.digests.size());
    for (std::size_t d = 0; d < a.digests.size(); ++d)
      Require(a.digests[d].alg == b.digests[d].alg && Equal(a.digests[d].bytes, b.digests[d].bytes));
  }
}

// The story must not leave out an event that a loader or the system measured.
void CheckStory(const Examined& x) {
  std::vector<bool> told(x.size());
  for (const StoryLine& line : TellBoot(x)) {
    Require(Printable(line.text) == line.text);
    for (const std::string& detail : line.details) Require(Printable(detail) == detail);
    for (const std::uint64_t number : line.events) told.at(number) = true;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool firmware = x.event(i).index <= (x.log->registers == Registers::kPcr ? 7U : 2U);
    Require(firmware || !x.event(i).measured() || told[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const ByteView data(bytes, size);
  const auto log = ParseEventLog(data);
  if (!log) {
    const auto* error = log.error().As<ParseError>();
    Require(error != nullptr && error->offset <= size);
    return 0;
  }
  if (log->format == Format::kCelTlv)
    CheckCelWritten(*log);
  else
    CheckWritten(data, *log);
  // Hashing takes a hundred times as long as reading the log, so it is done for one input in 8.
  if (size == 0 || (size + data[size / 2]) % 8 != 0) return 0;
  if (log->format != Format::kCelTlv) CheckReplay(data, *log);
  for (HashAlg bank : log->Banks()) {
    const Examined x = Examine(*log, bank);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Proof& p = x.proofs[i];
      const bool covers = p.grade == Grade::kProven || p.grade == Grade::kPartly;
      // The covered bytes may be empty: a command line without words.
      Require(covers || p.covered.empty());
    }
    (void)Check(x);
    CheckStory(x);
  }
  return 0;
}
