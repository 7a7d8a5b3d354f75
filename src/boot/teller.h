// Inside this room: what the parts of TellBoot() (story.h) share.
//
//   teller.Tell("boot-entry", v.name, i).details.push_back(path);   // grade and reason are those of event i
//
// Contract: a reference that Tell() gives is good until the next Tell() or Add().
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "boot/story.h"

namespace assay::boot {

class Teller {
 public:
  explicit Teller(const Examined& x) : x_(x) {}
  // A line about event i. with_digest: the text only names what was measured.
  StoryLine& Tell(std::string topic, std::string_view text, std::size_t i, bool with_digest = false);
  void Add(StoryLine line) { lines_.push_back(std::move(line)); }
  const std::vector<StoryLine>& lines() const { return lines_; }
  std::vector<StoryLine> Take() { return std::move(lines_); }

 private:
  const Examined& x_;
  std::vector<StoryLine> lines_;
};

// Line ends become spaces, NULs go.
std::string OneLine(std::string_view text);

// The first bytes, printable.
std::string Head(ByteView data);

// What no other line is about: whoever edits a log can give an event a type, or data, that nobody
// understands, and must not hide it by that.
void TellRest(const Examined& x, Teller& teller);

// Option ROMs, images, shim, boot loader, kernel, command line, initrd, UKI, ExitBootServices.
void TellLoaders(const Examined& x, Teller& teller);

}  // namespace assay::boot
