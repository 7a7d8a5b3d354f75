// A list of a form that is not told: what it is taken for is a list in its bank, binary, as all commands read
// it.
#include "base/fuzzing.h"
#include "cli/list_file.h"
#include "list/list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  if (size == 0) return 0;
  constexpr const char* kNames[] = {"list", "binary_runtime_measurements_sha256", "list-sha1.log",
                                    "x_sha384"};
  std::optional<HashAlg> bank;
  if ((data[0] & 0xF0) == 0) bank = HashAlg::kSha256;
  const ByteView content(data + 1, size - 1);
  const auto file = cli::ListFile::Of(ToBytes(content), kNames[data[0] & 3], bank);
  if (!file) return 0;
  Require(!bank || file->bank() == *bank);
  if (!file->ascii()) return 0;
  // The records of a text are whole ones.
  ima::ListReader reader(file->list(), file->bank());
  while (true) {
    const auto record = reader.Next();
    Require(record.has_value());
    if (!*record) break;
  }
  return 0;
}
