#include "measure/lsm/retained.h"

#include <cerrno>
#include <set>
#include <string>
#include <utility>

#include "base/log.h"

namespace assay::measure {
namespace {

constexpr std::chrono::minutes kLookEach{1};
constexpr std::size_t kMaxObjects = 100'000;  // objects may be made while they are counted

// A function in the kernel: the number of its type information, and its number there.
using Function = std::pair<std::uint32_t, std::uint32_t>;

Function FunctionOf(const bpf_prog_info& info) { return {info.attach_btf_obj_id, info.attach_btf_id}; }

// Calls `use` for the number of each object that `next` tells.
template <typename Next, typename Use>
Result<> ForEach(const char* call, Next next, Use use) {
  std::uint32_t id = 0;
  for (std::size_t n = 0; n < kMaxObjects; ++n) {
    const int r = next(id, &id);
    if (r == -ENOENT) return {};
    if (r != 0) return Fail(OsError(call, std::to_string(id), -r));
    use(id);
  }
  return {};
}

}  // namespace

Result<> RetainedPrograms::Retain(const bpf_object& loaded) {
  std::set<Function> ours;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, &loaded) {
    if (!bpf_program__autoload(program)) continue;
    ASSAY_ASSIGN(const bpf_prog_info info,
                 bpf::InfoOf<bpf_prog_info>(bpf_program__fd(program), bpf_program__name(program)));
    ours.insert(FunctionOf(info));
  }
  return ForEach("bpf_prog_get_next_id", bpf_prog_get_next_id, [&](std::uint32_t id) {
    UniqueFd fd(bpf_prog_get_fd_by_id(id));
    if (!fd) {
      // One that has ended meanwhile was not attached when our hooks began to hold tasks.
      if (errno != ENOENT)
        log::Warn("lsm: BPF program {} can't be kept: {}", id,
                  OsError("bpf_prog_get_fd_by_id", "", errno).Message());
      return;
    }
    const Result<bpf_prog_info> info = bpf::InfoOf<bpf_prog_info>(fd.get(), std::to_string(id));
    if (info && ours.contains(FunctionOf(*info)))
      kept_.try_emplace(id, Kept{.program = std::move(fd), .detached = {}});
  });
}

void RetainedPrograms::Release(Clock::time_point now) {
  if (now < next_) return;
  next_ = now + kLookEach;
  std::set<std::uint32_t> attached;
  const Result<> all = ForEach("bpf_link_get_next_id", bpf_link_get_next_id, [&](std::uint32_t id) {
    const UniqueFd link(bpf_link_get_fd_by_id(id));
    const Result<bpf_link_info> info = bpf::InfoOf<bpf_link_info>(link.get(), std::to_string(id));
    if (info) attached.insert(info->prog_id);
  });
  if (!all) {
    log::Debug("lsm: {}", all.error().Message());
    return;
  }
  for (auto& [id, kept] : kept_) {
    if (attached.contains(id)) {
      kept.detached.reset();
    } else if (!kept.detached) {
      kept.detached = now;
    }
  }
  std::erase_if(kept_, [now](const auto& entry) {
    return entry.second.detached && now - *entry.second.detached > kRest;
  });
}

}  // namespace assay::measure
