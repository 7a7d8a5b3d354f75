#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

#include "boot/teller.h"

namespace assay::boot {
namespace {

constexpr std::uint32_t kUkiPcr = 11, kLoaderConfigPcr = 12, kShimPcr = 14;

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The role of an image, guessed from its path. The path is not measured, so this is only a hint for the
// reader.
std::string_view LooksLike(const std::string& path) {
  const std::string lower = Lower(path);
  const std::size_t slash = lower.find_last_of("\\/");
  const std::string_view name = std::string_view(lower).substr(slash == std::string::npos ? 0 : slash + 1);
  if (name.starts_with("shim")) return " (shim, by its name)";
  if (name.starts_with("grub")) return " (GRUB, by its name)";
  if (name.starts_with("systemd-boot")) return " (systemd-boot, by its name)";
  if (Has(lower, "\\efi\\linux\\")) return " (unified kernel image, by its folder)";
  if (name.starts_with("bootx64") || name.starts_with("bootaa64"))
    return " (the removable medium's default path)";
  if (name.starts_with("bootmgfw")) return " (Windows Boot Manager, by its name)";
  return "";
}

void TellImages(const Examined& x, Teller& teller) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* image = std::get_if<ImageLoad>(&x.decoded[i].body);
    if (image == nullptr) continue;
    const std::string path = DevicePathText(image->device_path);
    const std::string text =
        path.empty() ? "an image loaded without a path" : path + std::string(LooksLike(path));
    const bool driver = x.event(i).type != kEfiBootServicesApplication;
    teller.Tell(driver ? "option-rom" : "image", text, i, true);
  }
}

bool IsShims(const Examined& x, std::size_t i) {
  if (x.event(i).type != kIpl || !x.In(i, kShimPcr)) return false;
  const std::string name = x.TextOf(i);
  return name.starts_with("Mok") || name == "Shim" || name.starts_with("Sbat");
}

// shim measures the content of its lists and logs only their names. Its states are single bytes, whose value
// can be found from the digest.
void TellShim(const Examined& x, Teller& teller) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!IsShims(x, i)) continue;
    const std::string name = x.TextOf(i);
    std::optional<int> value;
    for (std::uint8_t v : {0, 1}) {
      if (DigestIs(x.event(i), x.bank, ByteView(&v, 1))) value = v;
    }
    StoryLine& line = teller.Tell("shim", value ? fmt::format("{} = {}", name, *value) : name, i, true);
    if (value) {
      line.grade = Grade::kPartly;
      line.reason = "digest of this value; the name is not measured";
    }
  }
}

// The names of the files that GRUB boots: words of its last "linux" and "initrd" commands.
struct GrubFiles {
  std::set<std::string> kernels, initrds;
  bool any = false;
};

GrubFiles FindGrubFiles(const Examined& x) {
  GrubFiles files;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* text = std::get_if<Text>(&x.decoded[i].body);
    if (text == nullptr || text->prefix.empty()) continue;
    files.any = true;
    std::vector<std::string> words;
    for (std::size_t at = 0; at < text->text.size();) {
      const std::size_t end = std::min(text->text.find(' ', at), text->text.size());
      if (end > at) words.push_back(text->text.substr(at, end - at));
      at = end + 1;
    }
    if (words.size() < 2) continue;
    if (words[0] == "linux" || words[0] == "linuxefi" || words[0] == "linux16") files.kernels = {words[1]};
    if (words[0] == "initrd" || words[0] == "initrdefi" || words[0] == "initrd16")
      files.initrds = {words.begin() + 1, words.end()};
  }
  return files;
}

bool NamesOne(const std::set<std::string>& files, const std::string& name) {
  return std::any_of(files.begin(), files.end(), [&](const std::string& f) {
    return f == name ||
           (!f.empty() &&
            name.ends_with(f.front() == '(' ? f.substr(std::min(f.find(')') + 1, f.size())) : f) &&
            f.size() > 1);
  });
}

// PCR 9 holds the content of the files that GRUB opened; their names are not measured.
void TellGrubFile(const GrubFiles& files, const std::string& name, std::size_t i, Teller& teller) {
  const bool kernel = NamesOne(files.kernels, name) || name == "grub_linuxefi Kernel";
  const bool initrd = NamesOne(files.initrds, name) || name == "grub_linuxefi Initrd";
  teller.Tell(kernel ? "kernel" : initrd ? "initrd" : "loader-file", name, i, true);
}

void TellGrub(const Examined& x, Teller& teller) {
  const GrubFiles files = FindGrubFiles(x);
  if (!files.any) return;
  std::size_t commands = 0;
  StoryLine line;
  line.topic = "loader";
  line.grade = Grade::kPartly;
  line.reason = "digest of each command; the prefix that says GRUB is not measured";
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* text = std::get_if<Text>(&x.decoded[i].body);
    if (text == nullptr || text->prefix.empty()) continue;
    ++commands;
    line.events.push_back(x.event(i).number);
    if (x.proofs[i].grade != Grade::kProven && x.proofs[i].grade != Grade::kPartly) {
      line.grade = Grade::kUnproven;
      line.reason = fmt::format("event {}: {}", x.event(i).number, x.proofs[i].how);
    }
  }
  line.text = fmt::format("GRUB, {} commands measured", commands);
  teller.Add(std::move(line));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* text = std::get_if<Text>(&x.decoded[i].body);
    if (text == nullptr || x.event(i).type != kIpl) continue;
    const bool command_line = text->prefix == "kernel_cmdline: " || text->prefix == "grub_kernel_cmdline ";
    if (command_line)
      teller.Tell("command-line", text->text, i);
    else if (text->prefix == "module_cmdline: ")
      teller.Tell("loader", "module " + text->text, i);
    else if (text->prefix.empty() && x.In(i, 9) && !text->utf16 && !IsShims(x, i))
      TellGrubFile(files, text->text, i, teller);
  }
}

// systemd-stub measures each section of the image as two events with one label: the name, then the content.
void TellUki(const Examined& x, Teller& teller) {
  std::string last_name;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* text = std::get_if<Text>(&x.decoded[i].body);
    if (text == nullptr || x.event(i).type != kIpl || !text->utf16 || !x.In(i, kUkiPcr)) continue;
    if (text->text.empty() || text->text[0] != '.') continue;
    const bool name_event = x.proofs[i].grade == Grade::kProven;
    if (name_event) {
      last_name = text->text;
      continue;
    }
    StoryLine& line = teller.Tell(text->text == ".linux"    ? "kernel"
                                  : text->text == ".initrd" ? "initrd"
                                                            : "uki-section",
                                  "UKI section " + text->text, i, true);
    if (last_name == text->text) {
      line.grade = Grade::kPartly;
      line.reason = "the section's name is measured before it; the digest is that of its content";
    }
    last_name.clear();
  }
}

void TellSystemd(const Examined& x, Teller& teller) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Event& e = x.event(i);
    if (const auto* tag = std::get_if<TaggedEvent>(&x.decoded[i].body)) {
      const std::string what =
          tag->name.empty() ? fmt::format("tag {:#010x}", tag->id) : std::string(tag->name);
      const std::string text = tag->description.empty() ? fmt::format("{}, {} bytes", what, tag->data.size())
                                                        : what + ": " + tag->description;
      switch (tag->id) {
        case kTagInitrd:
          teller.Tell("initrd", "measured by the kernel's EFI stub", i, true);
          break;
        case kTagLoadOptions:
          teller.Tell("command-line", "measured by the kernel's EFI stub; the log holds only its digest", i,
                      true);
          break;
        case kTagLoaderConf:
          teller.Tell("loader", "systemd-boot: loader.conf", i, true);
          break;
        default:
          teller.Tell(IsWindowsTag(tag->id) ? "loader" : "addon", text, i, true);
          break;
      }
      continue;
    }
    const auto* text = std::get_if<Text>(&x.decoded[i].body);
    if (text == nullptr || e.type != kIpl || !text->utf16) continue;
    const bool section = !text->text.empty() && text->text[0] == '.' && x.In(i, kUkiPcr);
    if (section) continue;
    const bool whole = x.proofs[i].grade == Grade::kProven;
    // systemd-boot and systemd-stub log a command line as it was hashed. Of a packed archive they log only
    // the name.
    if (whole && (x.In(i, 8) || x.In(i, kLoaderConfigPcr)))
      teller.Tell("command-line", text->text, i);
    else
      teller.Tell("addon", text->text, i, !whole);
  }
}

void TellExit(const Examined& x, Teller& teller) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x.event(i).type != kEfiAction || !x.In(i, 5)) continue;
    const std::string text = x.TextOf(i);
    if (text.starts_with("Exit Boot Services")) teller.Tell("exit-boot-services", text, i);
  }
}

}  // namespace

void TellLoaders(const Examined& x, Teller& teller) {
  TellImages(x, teller);
  TellShim(x, teller);
  TellGrub(x, teller);
  TellUki(x, teller);
  TellSystemd(x, teller);
  TellExit(x, teller);
}

}  // namespace assay::boot
