// Internal: what was recorded last for each path, so that the same content is recorded once.
//
//   // given: Contents& contents, const Digest& digest, std::uint64_t record
//   Content content = contents.OfFile("/usr/bin/ls", std::nullopt, digest.view());
//   if (contents.Find(content)) return {};  // it is in the list
//   content.record = record;
//   contents.Learn({content});
//
// Contract: safe from any thread; it has a lock of its own. Paths and contents are kept as salted hashes, so
// that an attacker can't prepare two that collide. Begin() takes the contents of a record that is in the list
// but not yet in the PCR, and Settle() makes them known. What Learn() gets between the two is newer, and
// stays. Bounded: a path beyond `max_paths` is recorded anew each time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "measure/system/violation_record.h"

namespace assay::measure {

struct Key {
  std::uint64_t a = 0, b = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

struct Content {
  Key path, value;
  std::uint64_t record = 0;  // the number of the record that has it, once it is known
};

class Contents {
 public:
  explicit Contents(std::uint64_t max_paths) : max_paths_(max_paths) {}
  Result<> Start();  // draws the salt

  // cgroup: given if the record names it; each control group then has a content of its own.
  Content OfFile(std::string_view path, std::optional<std::string_view> cgroup, ByteView digest) const;
  Content OfViolation(std::string_view path) const;  // says that the path's last record is a violation
  // It has another name than the path's content and is never overwritten, so that two programs that take
  // turns at one path are recorded once each.
  Content OfProgram(const ViolationRecord& record) const;

  // The number of the record or group that has this content, if it is the last one of its path.
  std::optional<std::uint64_t> Find(const Content& content) const;
  void Learn(const std::vector<Content>& contents);
  void Begin(std::vector<Content> contents);
  void Settle();
  void Clear();

 private:
  struct KeyHash {
    std::size_t operator()(const Key& k) const noexcept { return k.a; }
  };
  struct Last {
    Key value;
    std::uint64_t record;
  };
  Key KeyOf(std::string_view kind, ByteView bytes) const;
  void LearnOne(const Content& content) ASSAY_REQUIRES(mutex_);

  const std::uint64_t max_paths_;
  std::array<std::uint8_t, 32> salt_{};
  mutable Mutex mutex_;
  std::unordered_map<Key, Last, KeyHash> last_ ASSAY_GUARDED_BY(mutex_);
  std::vector<Content> under_way_ ASSAY_GUARDED_BY(mutex_);
};

}  // namespace assay::measure
