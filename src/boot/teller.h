// Inside this room: what the parts of TellBoot() (story.h) share.
//
//   teller.Tell("boot-entry", v.name, i).details.push_back(path);   // grade and reason are those of event i
//
// Contract: a reference that Tell() gives is good until the next Tell() or Add().
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "boot/story.h"

namespace assay::boot {

class Teller {
 public:
  // sink is given each line once nobody adds to it any more.
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
