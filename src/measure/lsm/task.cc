#include "measure/lsm/task.h"

#include <cstring>
#include <iterator>

#include "base/clock.h"
#include "measure/lsm/file.h"
#include "measure/system/bpf_entry.h"
#include "measure/system/served.h"

namespace assay::measure {

Hook HookOf(std::uint32_t kind, std::uint32_t detail) {
  switch (kind) {
    case ASSAY_EXEC:
      return {Func::kBprmCheck, kMayExec};
    case ASSAY_MMAP:
      return {Func::kMmapCheck, kMayExec};
    case ASSAY_BPF:
      return {Func::kBpfCheck, kMayRead};
    case ASSAY_KERNEL_READ:
    case ASSAY_BUFFER: {
      // Source: include/linux/kernel_read_file.h, __kernel_read_file_id.
      static constexpr Func kReads[] = {Func::kFirmwareCheck,       Func::kFirmwareCheck,
                                        Func::kModuleCheck,         Func::kKexecKernelCheck,
                                        Func::kKexecInitramfsCheck, Func::kPolicyCheck};
      return {detail < std::size(kReads) ? kReads[detail] : Func::kFirmwareCheck, kMayRead};
    }
    default:
      return {Func::kFileCheck, kMayRead};
  }
}

std::uint32_t WireOf(Interpreter program, Reader reader) {
  if (program == Interpreter::kNone && reader != Reader::kNone)
    return static_cast<std::uint32_t>(reader) | ASSAY_PROGRAM_READER;
  return static_cast<std::uint32_t>(program) | (TakesAnyFile(program) ? ASSAY_PROGRAM_ANY : 0U);
}

void LsmTask::Answer(std::uint32_t flags, const Digest* digest) {
  assay_answer answer{};
  answer.flags = flags;
  answer.program = program;
  answer.hook = start_hook;
  if (digest != nullptr && digest->size() == ASSAY_DIGEST) {
    answer.flags |= ASSAY_ANSWER_DIGEST;
    std::memcpy(answer.digest, digest->view().data(), ASSAY_DIGEST);
  }
  Send(answer);
}

// No value if the kernel's side does not know it.
std::optional<Digest> LsmTask::Loader() const {
  if (!Has(ASSAY_REQUEST_PROGRAM)) return std::nullopt;
  const Result<Digest> digest = Digest::Of(HashAlg::kSha256, ByteView(request.program));
  if (!digest || digest->AllBytes(0)) return std::nullopt;
  return *digest;
}

std::string LsmTask::Path() const {
  if (kind() == ASSAY_BPF) return BpfEntryName(request.path, Loader());
  if (kind() == ASSAY_BUFFER) return "memory:" + HookName(kind(), request.detail);
  return request.path[0] != 0 ? request.path : "unknown";
}

Context LsmTask::Describe() const {
  return {.time_ms = NowMs(),
          .pid = static_cast<pid_t>(request.tgid),
          .uid = request.uid,
          .comm = request.comm,
          .hook = HookName(kind(), request.detail),
          .cgroup = cgroups_.Path(request.cgroup)};
}

// If not even the open has returned, the mount tells the device.
dev_t LsmTask::Device() const {
  if (const dev_t known = device; known != 0) return known;
  return DeviceOfMount(request.mount, static_cast<pid_t>(request.tid)).value_or(0);
}

Hook LsmTask::hook() const { return HookOf(kind(), request.detail); }

Task LsmTask::Waiter() const {
  Task task{.tid = static_cast<pid_t>(request.tid),
            .uid = request.uid,
            .euid = request.euid,
            .gid = request.gid,
            .egid = request.egid};
  if (std::string path = cgroups_.Path(request.cgroup); !path.empty()) task.cgroup = std::move(path);
  return task;
}

}  // namespace assay::measure
