#include "measure/lists/list_source.h"

namespace assay::measure {

void Checkpoints::Add(std::uint64_t records, const Digest& value) {
  recent_.emplace_back(records, value);
  if (recent_.size() <= kExact) return;
  const auto old = recent_.front();
  recent_.pop_front();
  if (old.first % stride_ != 0) return;
  thinned_.push_back(old);
  if (thinned_.size() <= kThin) return;
  stride_ *= 2;
  std::erase_if(thinned_, [&](const auto& c) { return c.first % stride_ != 0; });
}

std::vector<std::pair<std::uint64_t, Digest>> Checkpoints::All() const {
  std::vector<std::pair<std::uint64_t, Digest>> all = thinned_;
  all.insert(all.end(), recent_.begin(), recent_.end());
  return all;
}

}  // namespace assay::measure
