// The story of a boot for a person: firmware, Secure Boot and its keys, option ROMs, boot entries, shim, boot
// loader, kernel, command line, initrd, unified kernel image, ExitBootServices; each line with its grade of
// proof.
//
//   // given: const Examined& x
//   for (const StoryLine& line : TellBoot(x)) {
//     log::Info("{}: {} ({}: {})", line.topic, line.text, GradeName(line.grade), line.reason);
//   }
//
// Contract: pure, never fails. A topic that is not in the log has no line. Each event has a line, except
// separators and those events in the firmware's registers that are understood and covered by their digest.
// Texts are printable (Printable()). A line's grade is that of its text: kProven and kPartly rest on digests,
// and hold if the log's replay matches a quote. Where the text only names what was measured, `digest` is the
// value that the register was extended with; the quote then proves the digest, whatever the grade of the
// text. The roles (which text is the kernel's command line, which image is the loader) come from event types
// and prefixes, which are not measured.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "boot/examine.h"

namespace assay::boot {

struct StoryLine {
  std::string topic;  // "firmware", "secure-boot", "key", "option-rom", "boot-order", "boot-entry", "shim",
                      // "image", "loader", "loader-file", "kernel", "command-line", "initrd", "uki-section",
                      // "addon", "partition-table", "platform", "exit-boot-services", "ima"; "other" and
                      // "not-understood": of events that no other line is about
  std::string text;
  std::vector<std::string> details;
  Grade grade = Grade::kUnproven;
  std::string reason;  // why the grade is what it is
  std::string digest;  // "sha256:...", or empty
  std::vector<std::uint64_t> events;
};
std::vector<StoryLine> TellBoot(const Examined& x);
// The same, one line at a time: a log can have a hundred thousand events.
void TellBoot(const Examined& x, const std::function<void(StoryLine)>& sink);

}  // namespace assay::boot
