#include "measure/record/open_group.h"

#include <fcntl.h>
#include <unistd.h>

#include <tuple>
#include <utility>

#include "base/log.h"

namespace assay::measure {
namespace {
constexpr std::size_t kRecordOverhead = 4096;  // by how much a group's record may be longer than the group
}  // namespace

std::size_t GroupRoom(const RecorderOptions& options) { return options.group_bytes + kRecordOverhead; }

Result<> FaultAt(const RecorderOptions& options, std::string_view instant) {
  return options.fault ? options.fault(instant) : Result<>();
}

Step MakeGroupStep(const RecorderPcr& pcr, ByteView entries) {
  const Digest digest = Hash(pcr.list_alg(), entries);
  return pcr.MakeStep(ima::Template::kBuf, ima::EncodeBuf(digest, ima::kGroupName, entries),
                      Meaning::kContent);
}

Result<> OpenGroup::WriteAhead(ByteView encoded, const Ledger::Position& at) {
  if (!pending_) {
    ASSAY_TRY(files_.Reserve(at.offset, GroupRoom(options_)));
    ASSAY_ASSIGN(pending_, assay::Open(files_.PendingPath(at.number), O_RDWR | O_CREAT | O_TRUNC));
  }
  ASSAY_TRY(FaultAt(options_, "pending.write"));
  return PWriteAll(pending_.get(), encoded, static_cast<off_t>(bytes_.size()));
}

Result<> OpenGroup::Append(ByteView encoded, Step entry, const Ledger::Position& at) {
  if (auto r = WriteAhead(encoded, at); !r) {
    if (bytes_.empty()) {  // no file may stay under a number that another record will have
      pending_.Reset();
      unlink(files_.PendingPath(at.number).c_str());
    } else if (ftruncate(pending_.get(), static_cast<off_t>(bytes_.size())) != 0) {
      log::Error("recorder: a pending group keeps a torn tail");
    }
    return r;
  }
  if (bytes_.empty()) {
    since_ = Clock::now();
    changed.NotifyAll();
  }
  bytes_.insert(bytes_.end(), encoded.begin(), encoded.end());
  for (JournalEntry& e : entry.journal) {
    e.sub = static_cast<std::uint32_t>(entries_);
    journal_.push_back(std::move(e));
  }
  ++entries_;
  violations_ += entry.violations;
  return {};
}

Step OpenGroup::MakeStep(const RecorderPcr& pcr, std::uint64_t number) const {
  Step step = MakeGroupStep(pcr, bytes_);
  step.pending = files_.PendingPath(number);
  step.journal = journal_;
  step.entries = entries_;
  step.violations = violations_;
  return step;
}

void OpenGroup::Clear() {
  bytes_.clear();
  journal_.clear();
  entries_ = violations_ = 0;
  pending_.Reset();
}

void OpenGroup::Stop() {
  const MutexLock lock(mutex);
  stopped_ = true;
  changed.NotifyAll();
}

}  // namespace assay::measure
