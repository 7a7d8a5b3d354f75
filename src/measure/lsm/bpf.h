// Internal: libbpf behind stateless deleters, and the few calls that need a Result.
//
//   #include "measure/lsm/embedded.h"
//   ASSAY_ASSIGN(bpf::ObjectPtr object, bpf::OpenObject(EmbeddedLsmObject()));
//   ASSAY_TRY(bpf::Load(*object));
//
// Contract: libbpf's own messages are collected and travel in the error (LibError "libbpf"); nothing is
// printed. An error from the kernel keeps its errno (OsError).
#pragma once

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace assay::measure::bpf {

struct Delete {
  void operator()(bpf_object* o) const { bpf_object__close(o); }
  void operator()(bpf_link* l) const { bpf_link__destroy(l); }
  void operator()(ring_buffer* r) const { ring_buffer__free(r); }
  void operator()(btf* b) const { btf__free(b); }
};
using ObjectPtr = std::unique_ptr<bpf_object, Delete>;
using LinkPtr = std::unique_ptr<bpf_link, Delete>;
using RingPtr = std::unique_ptr<ring_buffer, Delete>;
using BtfPtr = std::unique_ptr<btf, Delete>;

// Programs in the kernel that are attached, for as long as their links are here or pinned.
struct Attached {
  ObjectPtr object;
  std::vector<std::pair<std::string, LinkPtr>> links;  // by the programs' names
};

Result<ObjectPtr> OpenObject(ByteView elf);
Result<> Load(bpf_object& object);
Result<LinkPtr> Attach(bpf_program& program);
Result<UniqueFd> OpenPinned(const std::string& path);
// What the kernel tells of an object. `Info` is bpf_prog_info, bpf_link_info or bpf_map_info; `what` is for
// the error.
template <typename Info>
Result<Info> InfoOf(int fd, const std::string& what) {
  Info info{};
  std::uint32_t size = sizeof(info);
  if (const int r = bpf_obj_get_info_by_fd(fd, &info, &size); r != 0)
    return Fail(OsError("bpf_obj_get_info_by_fd", what, -r));
  return info;
}
// The same within a folder (Linux 6.5 and later); none where there is none.
UniqueFd OpenPinnedAt(int dir, const std::string& name);

}  // namespace assay::measure::bpf
