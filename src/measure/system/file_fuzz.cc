// The first byte chooses: the text of /proc/PID/fdinfo/FD, or a file's content, of which ELF kinds are told.
#include <elf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fuzzing.h"
#include "measure/system/file.h"

namespace {

using namespace assay;

// Each number is that of the first line with its label.
void CheckFdInfo(std::string_view text) {
  const auto info = measure::ParseFdInfo(text);
  if (!info) {
    const auto* error = info.error().As<ParseError>();
    Require(error != nullptr && error->offset <= text.size());
    return;
  }
  const std::string lines = "\n" + std::string(text) + "\n";
  for (const auto& [label, number] : {std::pair{"mnt_id:", info->mount}, {"ino:", info->inode}}) {
    const std::size_t at = lines.find(fmt::format("\n{}", label));
    Require(at != std::string::npos);
    const std::size_t digits = lines.find_first_not_of(" \t", at + 1 + std::string_view(label).size());
    const std::string word = lines.substr(digits, lines.find('\n', digits) - digits);
    Require(word.substr(std::min(word.find_first_not_of('0'), word.size() - 1)) == std::to_string(number));
  }
}

// What is no ELF file never is said to be one; only a relocatable one is an object or a module.
void CheckElf(ByteView content) {
  static const int fd = memfd_create("content", MFD_CLOEXEC);
  Require(ftruncate(fd, 0) == 0);
  Require(pwrite(fd, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  const measure::ElfKind kind = measure::ElfKindOf(fd);
  Require((kind == measure::ElfKind::kNone) == !AsText(content).starts_with(ELFMAG));
  if (kind != measure::ElfKind::kObject && kind != measure::ElfKind::kModule) return;
  Require(content.size() >= sizeof(Elf64_Ehdr) && content[16] == ET_REL);
  const bool named = AsText(content).find(".gnu.linkonce.this_module") != std::string_view::npos;
  Require(named || kind == measure::ElfKind::kObject);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  if ((data[0] & 1) != 0)
    CheckElf(rest);
  else
    CheckFdInfo(AsText(rest));
  return 0;
}
