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

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/log.h"

namespace assay::measure {

struct FuseDelete {
  void operator()(fuse_session* p) const { fuse_session_destroy(p); }
  void operator()(fuse_pollhandle* p) const { fuse_pollhandle_destroy(p); }
};
using FuseSessionPtr = std::unique_ptr<fuse_session, FuseDelete>;
using FusePollPtr = std::unique_ptr<fuse_pollhandle, FuseDelete>;

// A session, or null. The library's own messages go to the log: on stderr its threads would wait for a
// reader.
inline FuseSessionPtr NewFuseSession(fuse_args& args, const fuse_lowlevel_ops& operations, void* data) {
  fuse_set_log_func([](fuse_log_level, const char* format, va_list values) {
    std::array<char, 256> text{};
    std::vsnprintf(text.data(), text.size(), format, values);
    const std::string_view line(text.data());
    log::Warn("fuse: {}", line.substr(0, line.find('\n')));
  });
  return FuseSessionPtr(fuse_session_new(&args, &operations, sizeof(operations), data));
}

// The buffer that one request is read into; libfuse allocates its memory.
struct FuseBuffer {
  fuse_buf buf{};
  FuseBuffer() = default;
  FuseBuffer(const FuseBuffer&) = delete;
  FuseBuffer& operator=(const FuseBuffer&) = delete;
  ~FuseBuffer() { std::free(buf.mem); }
};

}  // namespace assay::measure
