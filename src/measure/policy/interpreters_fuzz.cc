// How an interpreter with this command line reads a file with this name and content. Knowing fewer words, or
// less of the opener, must never turn code into data.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/policy/interpreters.h"

using namespace assay;           // NOLINT(google-build-using-namespace): a program of one function
using namespace assay::measure;  // NOLINT(google-build-using-namespace)

// The input is a byte each for the interpreter, the length of the words, the length of the name, and the
// place where the words are cut; then words, name and content.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = memfd_create("content", 0);
  if (size < 4) return 0;
  std::string_view rest = AsText({data + 4, size - 4});
  const auto take = [&](std::size_t n) {
    const std::string_view part = rest.substr(0, n);
    rest.remove_prefix(part.size());
    return part;
  };
  const std::string_view words = take(data[1]), name = take(data[2]);
  const std::string_view content = rest.substr(0, 64);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, content.data(), content.size(), 0) < 0) std::abort();
  const auto opener = static_cast<Interpreter>(data[0] % 24);
  Opened file{.fd = fd, .path = name, .opener = opener, .words = words, .path_holds = true};
  const bool code = ReadingOf(file) == Reading::kCode;
  file.words = words.substr(0, data[3]);
  file.words_cut = true;
  Require(!code || ReadingOf(file) == Reading::kCode);
  file.words.reset();
  Require(!code || ReadingOf(file) == Reading::kCode);
  const Reading marks = ReadingOfMarks(file);
  file.opener = Interpreter::kUnknown;
  Require(marks != Reading::kCode || ReadingOfMarks(file) == Reading::kCode || TakesAnyFile(opener));
  return 0;
}
