// Test support: a log with its examination, problems and story.
//
//   #include <gmock/gmock.h>
//   TEST(Example, AGoodLogHasNoProblems) {
//     EXPECT_THAT(Look(Good().Exit().bytes()).names, testing::IsEmpty());
//   }
//
// Contract: for this room's tests. Views in Looked live as long as its `bytes`.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/result_testing.h"
#include "boot/examine.h"
#include "boot/log_builder.h"
#include "boot/story.h"

namespace assay::boot {

inline constexpr HashAlg kBank = HashAlg::kSha256;

struct Looked {
  Bytes bytes;
  EventLog log;
  Examined x;
  std::vector<std::string> names;  // of problems that are not notes
  std::vector<StoryLine> story;
};

inline Looked Look(const Bytes& bytes, ParseOptions options = {}) {
  Looked out;
  out.bytes = bytes;
  auto log = ParseEventLog(out.bytes, options);
  EXPECT_THAT(log, IsOk());
  if (!log) return out;
  out.log = std::move(*log);
  out.x = Examine(out.log, *out.log.DefaultBank());
  for (const Problem& p : Check(out.x)) {
    if (p.severity != Severity::kNote) out.names.push_back(p.name);
  }
  out.story = TellBoot(out.x);
  out.x.log = nullptr;  // moved away with the result
  return out;
}

inline LogBuilder Good(bool secure_boot = true) {
  LogBuilder b({HashAlg::kSha1, kBank});
  b.Firmware(secure_boot).ReadyToBoot();
  return b;
}

inline SecureBootState StateOf(const Bytes& bytes) {
  const auto log = ParseEventLog(bytes);
  EXPECT_THAT(log, IsOk());
  return FindSecureBoot(Examine(*log, kBank));
}

inline Grade GradeOf(const LogBuilder& b, std::size_t i) {
  const auto log = ParseEventLog(b.bytes());
  EXPECT_THAT(log, IsOk());
  return Prove(*log, log->events.at(i), kBank).grade;
}

inline const Bytes kOn = VariableData(kGlobalGuid, "SecureBoot", {1});
inline const Bytes kOff = VariableData(kGlobalGuid, "SecureBoot", {0});

inline std::string LineOf(const std::vector<StoryLine>& story, std::string_view topic) {
  for (const StoryLine& line : story) {
    if (line.topic == topic) return std::string(GradeName(line.grade)) + ": " + line.text;
  }
  return "none";
}

inline const StoryLine* Find(const std::vector<StoryLine>& story, std::string_view topic) {
  const auto it =
      std::find_if(story.begin(), story.end(), [&](const StoryLine& l) { return l.topic == topic; });
  return it == story.end() ? nullptr : &*it;
}

inline Bytes Join(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace assay::boot
