#include "measure/lsm/bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace assay::measure::bpf {
namespace {

constexpr std::size_t kMaxMessages = 2048;  // the verifier's log can be very long; its end says what is wrong

std::string& Messages() {
  thread_local std::string messages;
  return messages;
}

int Collect(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, args);
  const int size = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (size <= 0) return 0;
  std::string line(static_cast<std::size_t>(size) + 1, 0);
  vsnprintf(line.data(), line.size(), format, args);
  line.pop_back();
  std::string& all = Messages();
  all += line;
  if (all.size() > kMaxMessages) all.erase(0, all.size() - kMaxMessages);
  return 0;
}

void Begin() {
  libbpf_set_print(Collect);
  Messages().clear();
}

Error Failed(const char* call, const std::string& subject, int err) {
  std::string text = subject;
  if (!Messages().empty()) text += " (" + Messages() + ")";
  return OsError(call, text, err);
}

}  // namespace

Result<ObjectPtr> OpenObject(ByteView elf) {
  Begin();
  // Without a name its maps of constants are named by an address.
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.object_name = "assay";
  ObjectPtr object(bpf_object__open_mem(elf.data(), elf.size(), &options));
  if (!object) return Fail(Failed("bpf_object__open_mem", "", errno));
  return object;
}

Result<> Load(bpf_object& object) {
  Begin();
  if (const int r = bpf_object__load(&object); r != 0) return Fail(Failed("bpf_object__load", "", -r));
  return {};
}

Result<LinkPtr> Attach(bpf_program& program) {
  Begin();
  LinkPtr link(bpf_program__attach(&program));
  if (!link) return Fail(Failed("bpf_program__attach", bpf_program__name(&program), errno));
  return link;
}

Result<UniqueFd> OpenPinned(const std::string& path) {
  const int fd = bpf_obj_get(path.c_str());
  if (fd < 0) return Fail(OsError("bpf_obj_get", path, -fd));
  return UniqueFd(fd);
}

UniqueFd OpenPinnedAt(int dir, const std::string& name) {
  // bpf_attr's members for BPF_OBJ_GET, of which older headers know the first three. Source:
  // include/uapi/linux/bpf.h.
  struct {
    std::uint64_t pathname;
    std::uint32_t bpf_fd, file_flags;
    std::int32_t path_fd;
    std::uint32_t rest;
  } attr{};
  constexpr std::uint32_t kPathFd = 1U << 14;  // BPF_F_PATH_FD
  attr.pathname = reinterpret_cast<std::uintptr_t>(name.c_str());
  attr.file_flags = kPathFd;
  attr.path_fd = dir;
  return UniqueFd(static_cast<int>(syscall(SYS_bpf, BPF_OBJ_GET, &attr, offsetof(decltype(attr), rest))));
}

}  // namespace assay::measure::bpf
