// An expected boot: what is read is written and read as the same, can be replayed, and differs in nothing
// from itself.
#include "base/fuzzing.h"
#include "boot/boot_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  const auto expected = boot::ExpectedFromJson(AsText({data, size}));
  if (!expected) return 0;
  const std::string text = boot::ExpectedJson(*expected);
  const auto again = boot::ExpectedFromJson(text);
  Require(again && boot::ExpectedJson(*again) == text);
  const auto differences = boot::Diff(*expected, *again);
  Require(differences && differences->empty());
  // What is open has no value, and all others have one of their bank.
  const boot::Replayed replayed = boot::Replay(*expected);
  (void)boot::NotCompared(*expected, *again);
  const auto learned = boot::Diff(*expected, boot::ExpectedBoot{});
  Require(learned || learned.error().code() == "boot.not-comparable");
  return 0;
}
