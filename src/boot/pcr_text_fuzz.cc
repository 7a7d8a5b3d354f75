// Parses any text as PCR values. Accepted values are written as ALG:INDEX:HEX lines, which must parse to the
// same values.
#include "base/fuzzing.h"
#include "boot/pcr_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace assay;
  const auto values = boot::ParsePcrText(AsText({bytes, size}));
  if (!values) return 0;
  std::string again;
  std::size_t count = 0;
  for (const auto& [bank, of_bank] : *values) {
    for (const auto& [index, digest] : of_bank) {
      again += std::string(HashName(digest.alg())) + ":" + std::to_string(index) + ":" + digest.hex() + "\n";
      ++count;
    }
  }
  const auto second = boot::ParsePcrText(again);
  Require(second.has_value());
  std::size_t second_count = 0;
  for (const auto& [bank, of_bank] : *second) second_count += of_bank.size();
  Require(count == second_count);
  for (const auto& [bank, of_bank] : *values) {
    for (const auto& [index, digest] : of_bank) Require(second->at(bank).at(index) == digest);
  }
  return 0;
}
