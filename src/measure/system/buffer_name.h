// The name of content that a program shows through the `measure` node and that has no file: a text after -c,
// what comes through a pipe.
//
//   // "buffer:1000:bash-c:/usr/bin/bash"
//   const std::string name = BufferName(1000, "bash-c", "/usr/bin/bash");
//
// Contract: it is no place, so that each content is recorded once, whatever came between. No file's name
// begins like this. docs/formats/runassay.md
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace assay::measure {

inline constexpr std::string_view kBufferPrefix = "buffer:";
std::string BufferName(uid_t uid, std::string_view what, std::string_view program);

}  // namespace assay::measure
