// Internal: libfuse behind stateless deleters. No other header or source includes it.
//
//   // given: fuse_session* session
//   FuseBuffer buffer;
//   const int size = fuse_session_receive_buf(session, &buffer.buf);
//
// Contract: a FuseBuffer frees what libfuse allocated in it; a FuseSessionPtr and a FusePollPtr destroy what
// they hold.
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

// The buffer that one request is read into; libfuse allocates its memory.
struct FuseBuffer {
  fuse_buf buf{};
  FuseBuffer() = default;
  FuseBuffer(const FuseBuffer&) = delete;
  FuseBuffer& operator=(const FuseBuffer&) = delete;
  ~FuseBuffer() { std::free(buf.mem); }
};

}  // namespace assay::measure
