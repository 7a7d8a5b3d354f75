#include "measure/record/contents.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/crypto.h"
#include "base/digest.h"
#include "list/path_text.h"
#include "measure/system/buffer_name.h"

namespace assay::measure {
namespace {
constexpr Key kViolationKey{.a = 0, .b = 0};
}  // namespace

Result<> Contents::Start() {
  ASSAY_ASSIGN(const Bytes random, RandomBytes(salt_.size()));
  std::copy(random.begin(), random.end(), salt_.begin());
  return {};
}

Key Contents::KeyOf(std::string_view kind, ByteView bytes) const {
  const Digest digest = Hash(HashAlg::kSha256, Writer().Put(salt_).Put(kind).Put(bytes).bytes());
  Key k;
  std::memcpy(&k, digest.view().data(), sizeof(k));
  return k;
}

Content Contents::OfFile(std::string_view path, std::optional<std::string_view> cgroup,
                         ByteView digest) const {
  std::string name(path);
  // No path has a NUL, so no path has this name.
  if (cgroup) name.append(1, '\0').append(*cgroup);
  // The texts after two `bash -c` that take turns are recorded once each.
  if (path.starts_with(kBufferPrefix)) name.append(1, '\0').append(AsText(digest));
  // The name as the list has it, so that a restart finds the same one.
  name = ima::PathText(std::move(name));
  return {.path = KeyOf("path", AsBytes(name)),
          .value = digest.empty() ? kViolationKey : KeyOf("content", digest)};
}

Content Contents::OfViolation(std::string_view path) const { return OfFile(path, std::nullopt, {}); }

Content Contents::OfProgram(const ViolationRecord& r) const {
  const std::string name = r.violation + '\0' + r.program.ToString() + '\0' + r.path;
  return {.path = KeyOf("violation", AsBytes(name)), .value = kViolationKey};
}

std::optional<std::uint64_t> Contents::Find(const Content& content) const {
  const MutexLock lock(mutex_);
  const auto found = last_.find(content.path);
  if (found == last_.end() || found->second.value != content.value) return std::nullopt;
  return found->second.record;
}

void Contents::LearnOne(const Content& content) {
  if (last_.size() < max_paths_ || last_.contains(content.path))
    last_[content.path] = {.value = content.value, .record = content.record};
}

void Contents::Learn(const std::vector<Content>& contents) {
  const MutexLock lock(mutex_);
  for (const Content& content : contents) {
    LearnOne(content);
    std::erase_if(under_way_, [&](const Content& c) { return c.path == content.path; });
  }
}

void Contents::Begin(std::vector<Content> contents) {
  const MutexLock lock(mutex_);
  under_way_ = std::move(contents);
}

void Contents::Settle() {
  const MutexLock lock(mutex_);
  for (const Content& content : under_way_) LearnOne(content);
  under_way_.clear();
}

void Contents::Clear() {
  const MutexLock lock(mutex_);
  last_.clear();
  under_way_.clear();
}

}  // namespace assay::measure
