// Internal: what the parts of TellBoot() (story.h) share.
//
//   // given: Teller& teller, const Variable& variable, std::size_t i
//   StoryLine& line = teller.Tell("boot-entry", variable.name, i);   // grade and reason are those of event i
//   line.details.push_back(Head(variable.value));
//
// Contract: the reference that Tell() returns is valid until the next Tell() or Add().
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "boot/story.h"

namespace assay::boot {

class Teller {
 public:
  // sink gets each line when it is complete.
  Teller(const Examined& x, std::function<void(StoryLine)> sink)
      : x_(x), sink_(std::move(sink)), told_(x.size()) {}
  // A line about event i. with_digest: the text only names what was measured.
  StoryLine& Tell(std::string topic, std::string_view text, std::size_t i, bool with_digest = false);
  StoryLine& Add(StoryLine line) {
    Flush();
    has_line_ = true;
    return last_ = std::move(line);
  }
  void Flush() {
    if (!has_line_) return;
    has_line_ = false;
    for (const std::uint64_t number : last_.events) told_[number] = true;
    sink_(std::exchange(last_, {}));
  }
  // Whether a line that was flushed is about event i.
  bool told(std::size_t i) const { return told_[i]; }

 private:
  const Examined& x_;
  std::function<void(StoryLine)> sink_;
  bool has_line_ = false;
  StoryLine last_;
  std::vector<bool> told_;
};

// The text with line ends replaced by spaces, and without NULs.
std::string OneLine(std::string_view text);

// The first bytes as printable text.
std::string Head(ByteView data);

// Adds lines for the events that no other line is about: an attacker who edits a log must not be able to hide
// an event behind an unknown type or data.
void TellRest(const Examined& x, Teller& teller);

// Adds lines for option ROMs, images, shim, boot loader, kernel, command line, initrd, UKI, ExitBootServices.
void TellLoaders(const Examined& x, Teller& teller);

}  // namespace assay::boot
