// Internal: libfuse behind stateless deleters. The one place that includes it.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <cstdlib>
#include <memory>

namespace assay::measure {

struct FuseDelete {
  void operator()(fuse_session* p) const { fuse_session_destroy(p); }
  void operator()(fuse_pollhandle* p) const { fuse_pollhandle_destroy(p); }
};
using FuseSessionPtr = std::unique_ptr<fuse_session, FuseDelete>;
using FusePollPtr = std::unique_ptr<fuse_pollhandle, FuseDelete>;

// What one request is read into; libfuse allocates it.
struct FuseBuffer {
  fuse_buf buf{};
  FuseBuffer() = default;
  FuseBuffer(const FuseBuffer&) = delete;
  FuseBuffer& operator=(const FuseBuffer&) = delete;
  ~FuseBuffer() { std::free(buf.mem); }
};

}  // namespace assay::measure
