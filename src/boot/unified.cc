#include "boot/unified.h"

#include <algorithm>

#include "boot/errors.h"

namespace assay::boot {
namespace {

// Every version measures in this order (uki.h says "PLEASE DO NOT REORDER"); new sections were inserted.
// .pcrsig signs the result and is not measured.
constexpr std::string_view kMeasured[] = {".linux",   ".osrel",   ".cmdline", ".initrd", ".ucode",
                                          ".splash",  ".dtb",     ".uname",   ".sbat",   ".pcrpkey",
                                          ".profile", ".dtbauto", ".hwids",   ".efifw"};

Error Unsupported(std::string_view section, std::string_view what) {
  return StateError(BootError::kUnifiedImage, "section " + std::string(section) + ": " + std::string(what));
}

// "#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####"
std::string StubName(const PeImage& image) {
  constexpr std::string_view kBefore = "#### LoaderInfo: ", kAfter = " ####";
  const PeSection* magic = image.Find(".sdmagic");
  if (magic == nullptr) return {};
  std::string_view text = AsText(magic->content);
  const std::size_t begin = text.find(kBefore);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin + kBefore.size());
  return std::string(text.substr(0, text.find(kAfter)));
}

}  // namespace

bool IsUnifiedKernel(const PeImage& image) { return image.Find(".linux") != nullptr; }

Result<UnifiedKernel> ReadUnifiedKernel(const PeImage& image) {
  UnifiedKernel uki;
  uki.stub = StubName(image);
  for (std::string_view name : kMeasured) {
    const auto has_name = [&](const PeSection& s) { return s.name == name; };
    const auto count = std::count_if(image.sections.begin(), image.sections.end(), has_name);
    if (count == 0) continue;
    if (count > 1)
      return Fail(Unsupported(name, "there are several (profiles); the file does not tell which is used"));
    const PeSection* section = image.Find(name);
    if (section->content.empty() || section->zero_filled())
      return Fail(Unsupported(name, "empty, or larger in memory than in the file"));
    uki.sections.push_back(section);
    if (name == ".linux") uki.kernel = section;
    if (name == ".initrd") uki.initrd = section;
    if (name == ".cmdline") uki.command_line = section;
  }
  if (uki.kernel == nullptr) return Fail(Unsupported(".linux", "missing"));
  return uki;
}

bool IsMeasuredSince252(std::string_view section) {
  for (std::string_view name : {".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"}) {
    if (section == name) return true;
  }
  return false;
}

std::string_view StubVersion(const UnifiedKernel& uki) {
  constexpr std::string_view kName = "systemd-stub ";
  const std::string_view text = uki.stub;
  if (!text.starts_with(kName)) return {};
  const std::string_view version = text.substr(kName.size());
  return version.substr(0, version.find_first_not_of("0123456789"));
}

}  // namespace assay::boot
