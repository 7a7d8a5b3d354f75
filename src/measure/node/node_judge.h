// What the attester says of content that a program showed it through the `measure` node.
//
//   NodeJudge judge = [](const Shown& shown) {
//     return shown.digest != nullptr ? NodeVerdict::kUnjudged : NodeVerdict::kUnknown;
//   };
//
// Contract: a function of the daemon, which has the manifest and the policy. It is called by any thread,
// after the content was recorded, and makes no request to the file's file system that could hang for good.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace assay::measure {

// kUnjudged: there is no manifest. kRefused: it is unknown, and by the owner's policy it must not run.
enum class NodeVerdict { kUnjudged, kKnown, kUnknown, kRefused };
std::string_view NodeVerdictName(NodeVerdict verdict);  // "unjudged", "known", "unknown", "refused"

struct Shown {
  int fd = -1;                     // -1: a buffer, which has no file
  std::string_view path;           // of a file: the kernel's name
  const Digest* digest = nullptr;  // null: the file has a writer, so nothing is known of it
  pid_t tid = 0;                   // the thread that shows it
};
using NodeJudge = std::function<NodeVerdict(const Shown&)>;

}  // namespace assay::measure
