#include "measure/system/marshal.h"

#include <cstdlib>
#include <optional>
#include <vector>

namespace assay::measure {
namespace {

constexpr std::uint8_t kFlagRef = 0x80;  // the object may be referred to
// Python reads no object that is nested deeper (MAX_MARSHAL_STACK_DEPTH); one of code needs three steps.
constexpr std::size_t kMaxSteps = std::size_t{3} * 2000;
// A code object: five numbers, eight objects, the number of its first line, two objects.
constexpr std::size_t kCodeNumbers = 20, kCodeLine = 4;
constexpr std::uint64_t kCodeObjects = 8, kCodeTables = 2;

// Walks through an object without recursion. Source: Python/marshal.c of Python 3.11, w_object().
class Walker {
 public:
  explicit Walker(ByteView object) : object_(object), reader_(object, "marshal") {}

  // Where the types of short texts lie that are marked as interned. nullopt: it is not an object as
  // described.
  std::optional<std::vector<std::size_t>> InternedTexts() {
    steps_.push_back({.objects = 1});
    while (!steps_.empty()) {
      Step& step = steps_.back();
      if (step.objects == 0) {
        const std::size_t bytes = step.bytes;
        steps_.pop_back();
        if (!Skip(bytes)) return std::nullopt;
        continue;
      }
      --step.objects;
      if (!ReadObject() || steps_.size() > kMaxSteps) return std::nullopt;
    }
    if (!reader_.done()) return std::nullopt;
    return std::move(found_);
  }

 private:
  // What is still to be read: some objects, and then some bytes.
  struct Step {
    std::uint64_t objects = 0;
    std::size_t bytes = 0;
  };

  bool Skip(std::uint64_t size) {
    return size <= reader_.remaining() && reader_.Take(static_cast<std::size_t>(size), "bytes");
  }
  std::optional<std::uint32_t> ShortLength() {
    const Result<std::uint8_t> length = reader_.U8("length");
    return length ? std::optional<std::uint32_t>(*length) : std::nullopt;
  }
  std::optional<std::uint32_t> Length() {
    const Result<std::uint32_t> length = reader_.U32Le("length");
    return length ? std::optional<std::uint32_t>(*length) : std::nullopt;
  }

  bool ReadText(std::size_t type_at, std::optional<std::uint32_t> size) {
    if (!size) return false;
    const ByteView text = reader_.rest();
    if (!Skip(*size)) return false;
    const int type = object_[type_at] & ~kFlagRef;
    // One character of two bytes that begins so is at most U+00FF; of those Python has each only once.
    const bool is_latin = type == 't' && *size == 2 && (text[0] == 0xc2 || text[0] == 0xc3);
    if ((type == 'Z' && *size <= 1) || is_latin) found_.push_back(type_at);
    return true;
  }
  bool ReadObjects(std::optional<std::uint32_t> count) {
    if (!count) return false;
    steps_.push_back({.objects = *count});
    return true;
  }
  bool ReadInteger() {
    const std::optional<std::uint32_t> length = Length();
    if (!length) return false;
    const std::int64_t digits = static_cast<std::int32_t>(*length);  // negative for a negative integer
    return Skip(std::uint64_t{2} * static_cast<std::uint64_t>(std::abs(digits)));
  }
  bool ReadBytes() {
    const std::optional<std::uint32_t> size = Length();
    return size && Skip(*size);
  }
  bool ReadCode() {
    if (!Skip(kCodeNumbers)) return false;
    steps_.push_back({.objects = kCodeTables});
    steps_.push_back({.objects = kCodeObjects, .bytes = kCodeLine});
    return true;
  }

  bool ReadObject() {
    const std::size_t type_at = reader_.offset();
    const Result<std::uint8_t> type = reader_.U8("type");
    if (!type) return false;
    switch (*type & ~kFlagRef) {
      case 'N':
      case 'F':
      case 'T':
      case '.':
        return true;
      case 'i':
      case 'r':
        return Skip(4);
      case 'g':
        return Skip(8);
      case 'y':
        return Skip(16);
      case 'l':
        return ReadInteger();
      case 's':
        return ReadBytes();
      case 'z':
      case 'Z':
        return ReadText(type_at, ShortLength());
      case 'a':
      case 'A':
      case 'u':
      case 't':
        return ReadText(type_at, Length());
      case ')':
        return ReadObjects(ShortLength());
      case '(':
      case '>':
        return ReadObjects(Length());
      case 'c':
        return ReadCode();
      default:
        return false;
    }
  }

  ByteView object_;
  Reader reader_;
  std::vector<Step> steps_;
  std::vector<std::size_t> found_;
};

}  // namespace

Bytes WithoutInternedMarks(ByteView object) {
  Bytes out(object.begin(), object.end());
  const std::optional<std::vector<std::size_t>> found = Walker(object).InternedTexts();
  if (!found) return out;
  for (const std::size_t at : *found) {
    const std::uint8_t flag = out[at] & kFlagRef;
    const char plain = (out[at] & ~kFlagRef) == 'Z' ? 'z' : 'u';
    out[at] = static_cast<std::uint8_t>(flag | static_cast<std::uint8_t>(plain));
  }
  return out;
}

}  // namespace assay::measure
