#include <algorithm>
#include <array>
#include <thread>

#include "base/digest_lanes.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "list/extend.h"
#include "list/template.h"

namespace assay::ima {
namespace {

constexpr std::size_t kImaNameSize = 256;  // the "ima" template hashes the name padded to this size
constexpr std::size_t kMaxWrongHints = 1000;

// Records; about 0.1 ms of hashing, so that passing a block to a thread costs little in comparison.
constexpr std::size_t kBlock = 1024;
constexpr std::size_t kSlots = 8;  // blocks in work at the same time; this bounds the memory
constexpr std::size_t kParallelFrom = std::size_t{128} << 10;  // bytes; a shorter list is not worth threads

// Replays one list by three kinds of work: reading blocks (one after the other), hashing them (in any order),
// and chaining them (one after the other in each bank). Every thread picks any work that is ready.
class Pipeline {
 public:
  Pipeline(ByteView list, HashAlg list_bank, const std::vector<Replay>& states)
      : reader_(list, list_bank, states.empty() ? 0 : states.front().count()), states_(states) {
    for (const Replay& state : states) chains_.push_back({.value = state.value()});
    const auto same = std::find_if(states.begin(), states.end(), [list_bank](const Replay& state) {
      return state.value().alg() == list_bank;
    });
    hint_bank_ = static_cast<std::size_t>(same - states.begin());
    for (Block& block : blocks_) block.extends.resize(states.size());
  }

  // Works until the list is done; each thread calls it.
  void Run() {
    MutexLock lock(mutex_);
    while (!done_) {
      if (Job job; Pick(job)) {
        lock.Unlock();
        Do(job);
        lock.Lock();
        Finished(job);
        changed_.NotifyAll();
      } else {
        changed_.Wait(mutex_);
      }
    }
  }

  // Call this when all threads have returned from Run().
  Result<ReplayResult> Take(std::vector<Replay>& states) {
    if (error_) return Fail(*error_);
    for (std::size_t bank = 0; bank < states.size(); ++bank) {
      const Replay& was = states_[bank];
      states[bank] =
          Replay::FromState(chains_[bank].value, was.count() + result_.count, was.pcr(), was.how());
      result_.values.push_back(chains_[bank].value);
    }
    return std::move(result_);
  }

 private:
  struct Block {
    std::vector<RecordView> records;
    std::vector<std::vector<Digest>> extends;  // by bank
    std::vector<std::uint64_t> wrong_hints;
    bool hashed = false;
  };
  struct Chain {
    Digest value;
    std::uint64_t next = 0;  // block
    bool busy = false;
  };
  struct Job {
    enum { kRead, kHash, kChain } kind = kRead;
    std::uint64_t block = 0;
    std::size_t bank = 0;
  };

  Block& At(std::uint64_t block) { return blocks_[block % kSlots]; }

  // Chaining comes first, because threads can't share a chain. Blocks that were read are hashed next, while
  // they are in the cache.
  bool Pick(Job& job) ASSAY_REQUIRES(mutex_) {
    std::uint64_t slowest = read_;
    for (std::size_t bank = 0; bank < chains_.size(); ++bank) {
      Chain& chain = chains_[bank];
      slowest = std::min(slowest, chain.next);
      if (chain.busy || chain.next == read_ || !At(chain.next).hashed) continue;
      chain.busy = true;
      job = {Job::kChain, chain.next, bank};
      return true;
    }
    if (next_hash_ < read_) {
      job = {Job::kHash, next_hash_++, 0};
      return true;
    }
    if (!reading_ && !ended_ && read_ - slowest < kSlots) {
      reading_ = true;
      job = {Job::kRead, read_, 0};
      return true;
    }
    return false;
  }

  void Do(const Job& job) {
    switch (job.kind) {
      case Job::kRead:
        return Read(At(job.block));
      case Job::kHash:
        return HashBlock(At(job.block));
      case Job::kChain:
        return Extend(At(job.block), job.bank);
    }
  }

  void Finished(const Job& job) ASSAY_REQUIRES(mutex_) {
    switch (job.kind) {
      case Job::kRead:
        reading_ = false;
        ended_ = at_end_;
        At(job.block).hashed = false;
        if (!At(job.block).records.empty()) ++read_;
        break;
      case Job::kHash:
        At(job.block).hashed = true;
        break;
      case Job::kChain:
        chains_[job.bank].busy = false;
        ++chains_[job.bank].next;
        break;
    }
    const bool chained =
        std::all_of(chains_.begin(), chains_.end(),
                    [this](const Chain& chain) ASSAY_REQUIRES(mutex_) { return chain.next == read_; });
    done_ = ended_ && (error_ || chained);
  }

  // Only one thread reads at a time, so members that only this function uses need no lock.
  void Read(Block& block) {
    block.records.clear();
    block.wrong_hints.clear();
    while (block.records.size() < kBlock) {
      Result<std::optional<RecordView>> record = reader_.Next();
      if (!record) error_ = record.error();
      if (!record || !*record) {
        at_end_ = true;
        break;
      }
      if ((*record)->violation()) ++result_.violations;
      block.records.push_back(**record);
    }
    result_.count += block.records.size();
  }

  void HashBlock(Block& block) {
    for (std::size_t bank = 0; bank < states_.size(); ++bank) {
      std::vector<Digest>& extends = block.extends[bank];
      ExtendValues(states_[bank].value().alg(), block.records, states_[bank].how(), extends);
      for (std::size_t i = 0; bank == hint_bank_ && i < extends.size(); ++i) {
        const RecordView& record = block.records[i];
        if (!Equal(extends[i].view(), record.template_digest) && !record.violation())
          block.wrong_hints.push_back(record.index);
      }
      const std::uint32_t pcr = states_[bank].pcr();
      std::size_t kept = 0;  // of this PCR
      for (std::size_t i = 0; i < extends.size(); ++i) {
        if (block.records[i].pcr != pcr) continue;
        if (kept != i) extends[kept] = extends[i];
        ++kept;
      }
      extends.resize(kept);
    }
  }

  void Extend(Block& block, std::size_t bank) {
    Digest& value = chains_[bank].value;
    value = ExtendPcr(value, block.extends[bank]);
    if (bank != hint_bank_) return;
    result_.wrong_hint_count += block.wrong_hints.size();
    for (const std::uint64_t index : block.wrong_hints) {
      if (result_.wrong_hints.size() < kMaxWrongHints) result_.wrong_hints.push_back(index);
    }
  }

  // Used only by the reading job.
  ListReader reader_;
  bool at_end_ = false;
  std::optional<Error> error_;  // other threads read it after ended_ is set

  // Each is used by the jobs of its block or its bank.
  std::array<Block, kSlots> blocks_;
  ReplayResult result_;  // the reading job sets the counts, the chain of hint_bank_ the wrong hints

  const std::vector<Replay> states_;
  std::size_t hint_bank_;  // the bank of the list's columns; the number of banks when it is none of them

  Mutex mutex_;  // guards each `hashed` and `busy` too
  CondVar changed_;
  std::vector<Chain> chains_;  // the job of a bank sets its value; all else under mutex_
  std::uint64_t read_ ASSAY_GUARDED_BY(mutex_) = 0;  // blocks
  std::uint64_t next_hash_ ASSAY_GUARDED_BY(mutex_) = 0;
  bool reading_ ASSAY_GUARDED_BY(mutex_) = false;
  bool ended_ ASSAY_GUARDED_BY(mutex_) = false;
  bool done_ ASSAY_GUARDED_BY(mutex_) = false;
};

Digest TemplateDigestOfIma(HashAlg bank, ByteView data) {
  std::array<std::uint8_t, kImaDigestSize + kImaNameSize> hashed{};
  const ByteView name = data.subspan(kImaNameAt).first(std::min(data.size() - kImaNameAt, kImaNameSize));
  std::copy_n(data.begin(), kImaDigestSize, hashed.begin());
  std::copy(name.begin(), name.end(), hashed.begin() + kImaDigestSize);
  return Hash(bank, hashed);
}

}  // namespace

Digest TemplateDigest(HashAlg bank, std::string_view template_name, ByteView data) {
  if (template_name == "ima" && data.size() >= kImaNameAt) return TemplateDigestOfIma(bank, data);
  return Hash(bank, data);
}

Digest ExtendValue(HashAlg bank, const RecordView& record, BankHash how) {
  const bool violation = record.violation();
  // Source: Linux 6.12 ima_queue.c, ima_init_digests: all-ones also for a bank that gets the padded SHA-1.
  if (violation && how != BankHash::kPaddedAll) return Digest::Filled(bank, 0xFF);
  if (how == BankHash::kOwn) return TemplateDigest(bank, record.template_name, record.data);
  const Digest sha1 = violation ? Digest::Filled(HashAlg::kSha1, 0xFF)
                                : TemplateDigest(HashAlg::kSha1, record.template_name, record.data);
  Digest padded = Digest::Filled(bank, 0);
  std::copy_n(sha1.view().begin(), std::min(sha1.size(), padded.size()), padded.data());
  return padded;
}

void ExtendValues(HashAlg bank, std::span<const RecordView> records, BankHash how, std::vector<Digest>& out) {
  // Whether the value is the hash of the record's data.
  const auto plain = [how](const RecordView& record) {
    return how == BankHash::kOwn && !record.violation() && record.template_name != "ima";
  };
  std::vector<ByteView> texts(records.size());
  for (std::size_t i = 0; i < records.size(); ++i)
    if (plain(records[i])) texts[i] = records[i].data;
  out.resize(records.size());
  if (how == BankHash::kOwn) HashEach(bank, texts, out);
  for (std::size_t i = 0; i < records.size(); ++i)
    if (!plain(records[i])) out[i] = ExtendValue(bank, records[i], how);
}

Replay::Replay(HashAlg bank, std::uint32_t pcr, BankHash how)
    : value_(Digest::Filled(bank, 0)), pcr_(pcr), how_(how) {}

Replay Replay::FromState(const Digest& value, std::uint64_t count, std::uint32_t pcr, BankHash how) {
  Replay replay(value.alg(), pcr, how);
  replay.value_ = value;
  replay.count_ = count;
  return replay;
}

Replay::Step Replay::Add(const RecordView& record) {
  ++count_;
  const bool violation = record.violation();
  const Digest extended = ExtendValue(value_.alg(), record, how_);
  const bool hint = violation || Equal(extended.view(), record.template_digest);
  if (record.pcr == pcr_) value_ = ExtendPcr(value_, extended);
  return {hint, violation};
}

Result<ReplayResult> ContinueReplay(ByteView list, HashAlg list_bank, std::vector<Replay>& states) {
  Pipeline pipeline(list, list_bank, states);
  std::vector<Thread> helpers;
  // Reading, hashing and each bank's chain can run at the same time; more threads would only wait.
  const std::size_t useful = std::min<std::size_t>(std::thread::hardware_concurrency(), states.size() + 2);
  for (std::size_t i = 1; i < useful && list.size() >= kParallelFrom; ++i) {
    Thread helper = Thread::Try("assay-replay", [&pipeline] { pipeline.Run(); });
    if (!helper.Joinable()) break;  // the threads that were started do all the work
    helpers.push_back(std::move(helper));
  }
  pipeline.Run();
  helpers.clear();
  return pipeline.Take(states);
}

Result<ReplayResult> ReplayList(ByteView list, HashAlg list_bank, const std::vector<HashAlg>& banks,
                                std::uint32_t pcr) {
  std::vector<Replay> states;
  states.reserve(banks.size());
  for (const HashAlg bank : banks) states.emplace_back(bank, pcr);
  return ContinueReplay(list, list_bank, states);
}

}  // namespace assay::ima
