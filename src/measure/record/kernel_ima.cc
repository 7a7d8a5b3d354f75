#include "measure/record/kernel_ima.h"

#include <charconv>

#include "base/fd.h"

namespace assay::measure {

std::uint64_t KernelImaRecords() {
  constexpr std::size_t kMaxCount = 64;  // bytes
  const Result<Bytes> text = ReadFile("/sys/kernel/security/ima/runtime_measurements_count", kMaxCount);
  std::uint64_t records = 0;
  if (!text) return 0;
  const std::string_view digits = AsText(*text);
  std::from_chars(digits.data(), digits.data() + digits.size(), records);
  return records;
}

}  // namespace assay::measure
