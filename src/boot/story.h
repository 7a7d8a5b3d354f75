// The story of a boot for a person: firmware, Secure Boot and its keys, option ROMs, boot entries, shim, boot
// loader, kernel, command line, initrd, unified kernel image, ExitBootServices; each line with how far it is
// proven.
//
//   for (const StoryLine& line : TellBoot(Examine(log, bank)))
//     Print(line.topic, line.text, GradeName(line.grade), line.reason);
//
// Contract: pure, never fails; a topic that the log says nothing of has no line. Each
// event has a line, but for separators and for those of the firmware's registers that are understood and
// covered by their digest. Texts are printable (Printable()). A line's grade is that of its text: kProven and
// kPartly rest on digests, and hold if the log's replay matches a quote. `digest` is what the register was
// extended with, where the text is only a name for it: the digest is as good as the quote, whatever the grade
// of the text. The roles (which text is the kernel's command line, which image is the loader) follow from
// event types and prefixes, which are not measured.
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
// The same line by line: a log can have a hundred thousand events.
void TellBoot(const Examined& x, const std::function<void(StoryLine)>& sink);

}  // namespace assay::boot
