#include "boot/predict.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "boot/authority.h"
#include "boot/errors.h"
#include "boot/unified.h"

namespace assay::boot {
namespace {

constexpr std::uint32_t kImagePcr = 4, kSecureBootPcr = 7, kKernelStubPcr = 9, kUkiPcr = 11,
                        kLoaderConfigPcr = 12, kExtensionsPcr = 13;

bool IsAscii(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b < 0x80; });
}

Bytes Utf16Le(std::string_view ascii, bool with_nul) {
  Writer w;
  for (char c : ascii) w.U16Le(static_cast<unsigned char>(c));
  if (with_nul) w.U16Le(0);
  return w.Take();
}

// The section .cmdline as LoadOptions, up to its first NUL.
Bytes PlainOptions(ByteView section) {
  const std::string_view text = AsText(section);
  return Utf16Le(text.substr(0, text.find('\0')), true);
}

// The same after systemd's mangle_stub_cmdline(): without white space at both ends, and with blanks as the
// only white space inside.
Bytes TrimmedOptions(ByteView section) {
  std::string text(AsText(section).substr(0, AsText(section).find('\0')));
  for (char& c : text) c = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
  text.erase(0, begin);
  text.erase(text.find_last_not_of(' ') + 1);
  return Utf16Le(text, true);
}

// Whether this kernel's EFI stub contains the text of such an event. The text is in its uncompressed part.
bool Holds(ByteView bytes, std::string_view text) {
  return AsText(bytes).find(text) != std::string_view::npos;
}

class Predictor {
 public:
  explicit Predictor(const Examined& now) : now_(now), out_(Learn(now)) {
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now.event(i).measured()) source_.push_back(i);
    }
    for (const ExpectedEvent& e : out_.events) measured_.insert(e.digest);
  }
  Result<> File(const FileReplacement& file);
  Result<> Text(const TextReplacement& text);
  ExpectedBoot Take();

 private:
  struct Value {
    std::string digest;  // hexadecimal
    std::string label;
  };
  HashAlg bank() const { return out_.bank; }
  bool IsMeasured(const Digest& digest) const { return measured_.contains(digest.hex()); }
  // Gives events with the old digest the new one. False: there are no such events.
  bool Substitute(const Digest& before, const Digest& after, const std::string& label) {
    if (!IsMeasured(before)) return false;
    changed_[before.hex()] = {after.hex(), label};
    return true;
  }
  void Open(std::uint32_t index, const std::string& reason) {
    const auto has = [index](const OpenRegister& r) { return r.index == index; };
    if (std::none_of(out_.open.begin(), out_.open.end(), has)) out_.open.push_back({index, reason});
  }
  Result<> Unified(const FileReplacement& file, const PeImage& before, const PeImage& after);
  bool Sections(const FileReplacement& file, const UnifiedKernel& before, const UnifiedKernel& after);
  void KernelStub(const FileReplacement& file, const UnifiedKernel& before, const UnifiedKernel& after);
  bool CommandLine(const UnifiedKernel& before, const UnifiedKernel& after, const std::string& label);
  bool IsTextOfLog(const std::string& digest) const;

  const Examined& now_;
  ExpectedBoot out_;
  std::set<std::string> measured_;  // digests in the log
  // For each of out_.events its index in now_, or the size of now_ if the event is new.
  std::vector<std::size_t> source_;
  std::map<std::string, Value> changed_;      // by the old digest
  std::map<std::size_t, std::string> texts_;  // the text that is measured instead, by the index in now_
};

Result<> Predictor::File(const FileReplacement& file) {
  if (file.old_file.empty() || file.new_file.empty())
    return Fail(
        StateError(BootError::kNotPredictable, "an empty file: " + file.old_name + ", " + file.new_name));
  const std::string label = Printable(file.new_name);
  bool explained =
      Substitute(Hash(bank(), file.old_file), Hash(bank(), file.new_file), "content of " + label);
  // A kernel that GRUB read is a PE image too. A file that is no PE image can only explain events by the hash
  // of its bytes.
  if (LooksLikePe(file.old_file)) {
    auto before = ParsePe(file.old_file);
    if (!before) return Fail(before.error().In(file.old_name));
    if (!LooksLikePe(file.new_file))
      return Fail(StateError(BootError::kNotPredictable,
                             file.new_name + " is not a PE image, unlike " + file.old_name));
    auto after = ParsePe(file.new_file);
    if (!after) return Fail(after.error().In(file.new_name));
    if (Substitute(before->Authenticode(bank()), after->Authenticode(bank()), "image " + label)) {
      explained = true;
      ASSAY_ASSIGN(const std::optional<std::string> open, VerifiedAlike(now_, *before, *after));
      if (open) Open(kSecureBootPcr, label + ": " + *open);
      if (IsUnifiedKernel(*before)) {
        if (auto unified = Unified(file, *before, *after); !unified)
          return Fail(unified.error().In(file.new_name));
      }
    }
  }
  if (!explained)
    return Fail(StateError(BootError::kUnexplained, "nothing in the log was measured from " + file.old_name));
  return {};
}

Result<> Predictor::Unified(const FileReplacement& file, const PeImage& before, const PeImage& after) {
  if (!IsUnifiedKernel(after))
    return Fail(
        StateError(BootError::kNotPredictable, "not a unified kernel image, unlike " + file.old_name));
  ASSAY_ASSIGN(const UnifiedKernel old_uki, ReadUnifiedKernel(before));
  ASSAY_ASSIGN(const UnifiedKernel new_uki, ReadUnifiedKernel(after));
  const auto in_uki_pcr = [](const ExpectedEvent& e) { return e.index == kUkiPcr; };
  if (!Sections(file, old_uki, new_uki) && std::any_of(out_.events.begin(), out_.events.end(), in_uki_pcr))
    Open(kUkiPcr, "the measured sections are not those of " + Printable(file.old_name));
  // The stub loads its kernel as a separate image. The log tells whether that is measured.
  ASSAY_ASSIGN(const PeImage old_kernel, ParsePe(old_uki.kernel->content));
  ASSAY_ASSIGN(const PeImage new_kernel, ParsePe(new_uki.kernel->content));
  (void)Substitute(old_kernel.Authenticode(bank()), new_kernel.Authenticode(bank()),
                   "kernel of " + Printable(file.new_name));
  KernelStub(file, old_uki, new_uki);
  if (StubVersion(old_uki).empty() || StubVersion(old_uki) != StubVersion(new_uki)) {
    const std::string reason = fmt::format("another stub may measure differently: \"{}\" instead of \"{}\"",
                                           Printable(new_uki.stub), Printable(old_uki.stub));
    for (std::uint32_t pcr : {kImagePcr, kKernelStubPcr, kUkiPcr, kLoaderConfigPcr, kExtensionsPcr})
      Open(pcr, reason);
  }
  return {};
}

// Each section is two events: its name with its NUL, and its content. The log shows which sections the stub
// measures. The block of the old sections is replaced as a whole. False: the log has no such block.
bool Predictor::Sections(const FileReplacement& file, const UnifiedKernel& before,
                         const UnifiedKernel& after) {
  const auto name_digest = [this](const PeSection* s) { return Hash(bank(), AsBytes(s->name + '\0')).hex(); };
  std::vector<std::size_t> block;
  std::vector<std::string> measured;
  for (const PeSection* s : before.sections) {
    const std::string content = Hash(bank(), s->content).hex();
    for (std::size_t i = 0; i + 1 < out_.events.size(); ++i) {
      const ExpectedEvent &name = out_.events[i], &body = out_.events[i + 1];
      if (name.index != kUkiPcr || body.index != kUkiPcr || name.digest != name_digest(s) ||
          body.digest != content)
        continue;
      block.push_back(i);
      measured.push_back(s->name);
      break;
    }
  }
  if (std::find(measured.begin(), measured.end(), ".linux") == measured.end()) return false;
  for (std::size_t i = 1; i < block.size(); ++i) {
    if (block[i] != block[i - 1] + 2)
      Open(kUkiPcr, "the sections are not in the order that systemd's stub keeps");
  }
  const ExpectedEvent model = out_.events[block.front()];
  std::vector<ExpectedEvent> events;
  for (const PeSection* s : after.sections) {
    const bool known = std::find(measured.begin(), measured.end(), s->name) != measured.end();
    const bool had = std::any_of(before.sections.begin(), before.sections.end(),
                                 [s](const PeSection* b) { return b->name == s->name; });
    if (!known && had) continue;
    if (!known && !IsMeasuredSince252(s->name))
      Open(kUkiPcr, "whether this stub measures " + s->name + " can't be told from the log");
    const std::string label = s->name + " of " + Printable(file.new_name);
    events.push_back({kUkiPcr, model.type, name_digest(s), "name " + s->name});
    events.push_back({kUkiPcr, model.type, Hash(bank(), s->content).hex(), label});
  }
  const auto first = static_cast<std::ptrdiff_t>(block.front());
  const auto last = static_cast<std::ptrdiff_t>(block.back()) + 2;
  out_.events.erase(out_.events.begin() + first, out_.events.begin() + last);
  source_.erase(source_.begin() + first, source_.begin() + last);
  out_.events.insert(out_.events.begin() + first, events.begin(), events.end());
  source_.insert(source_.begin() + first, events.size(), now_.size());
  return true;
}

bool Predictor::CommandLine(const UnifiedKernel& before, const UnifiedKernel& after,
                            const std::string& label) {
  if (before.command_line == nullptr || after.command_line == nullptr ||
      !IsAscii(before.command_line->content) || !IsAscii(after.command_line->content))
    return false;
  // The log tells which of the two forms the stub uses. Where it does not, both forms must give the same
  // digest.
  bool found = false;
  for (const auto form : {PlainOptions, TrimmedOptions}) {
    const Digest old_digest = Hash(bank(), form(before.command_line->content));
    const Digest new_digest = Hash(bank(), form(after.command_line->content));
    const auto other = changed_.find(old_digest.hex());
    if (found && other != changed_.end() && other->second.digest != new_digest.hex()) return false;
    found = Substitute(old_digest, new_digest, label) || found;
  }
  return found;
}

// Whether the digest is that of a command line that the log holds as a separate text: then the command line
// is not the image's but was passed to it.
bool Predictor::IsTextOfLog(const std::string& digest) const {
  for (std::size_t i = 0; i < now_.size(); ++i) {
    const auto* text = std::get_if<boot::Text>(&now_.decoded[i].body);
    const LogDigest* d = now_.event(i).Find(bank());
    if (text != nullptr && text->utf16 && now_.proofs[i].grade == Grade::kProven && d != nullptr &&
        Hex(d->bytes) == digest)
      return true;
  }
  return false;
}

// The measurements of Linux's own EFI stub in PCR 9: its command line, and the initrd that it got.
void Predictor::KernelStub(const FileReplacement& file, const UnifiedKernel& before,
                           const UnifiedKernel& after) {
  const std::string label = Printable(file.new_name);
  for (std::string_view text : {"LOADED_IMAGE::LoadOptions", "Linux initrd"}) {
    if (Holds(before.kernel->content, text) != Holds(after.kernel->content, text))
      Open(kKernelStubPcr, fmt::format("only one of the two kernels says that it measures \"{}\"", text));
  }
  const bool command_line = CommandLine(before, after, ".cmdline of " + label);
  if (before.initrd != nullptr && after.initrd != nullptr)
    (void)Substitute(Hash(bank(), before.initrd->content), Hash(bank(), after.initrd->content),
                     ".initrd of " + label);
  for (std::size_t i = 0; i < out_.events.size(); ++i) {
    if (source_[i] >= now_.size()) continue;
    const auto* tag = std::get_if<TaggedEvent>(&now_.decoded[source_[i]].body);
    if (tag == nullptr) continue;
    const bool explained = changed_.contains(out_.events[i].digest);
    if (tag->id == kTagLoadOptions && !(explained && command_line) && !IsTextOfLog(out_.events[i].digest))
      Open(kKernelStubPcr, "the command line that the kernel measured is not .cmdline alone");
    if (tag->id == kTagInitrd && !explained)
      Open(kKernelStubPcr, "the initrd that the kernel measured is not .initrd alone");
  }
  // The stub packs these into archives, which it passes to the kernel after .initrd.
  const auto has = [](const UnifiedKernel& uki, std::string_view name) {
    return std::any_of(uki.sections.begin(), uki.sections.end(),
                       [name](const PeSection* s) { return s->name == name; });
  };
  for (std::string_view name : {".ucode", ".pcrpkey", ".profile"}) {
    if (has(before, name) != has(after, name))
      Open(kKernelStubPcr,
           fmt::format("only one of the two images has {}, which becomes a part of the initrd", name));
  }
}

Result<> Predictor::Text(const TextReplacement& text) {
  if (text.from.empty() || !IsAscii(AsBytes(text.from)) || !IsAscii(AsBytes(text.to)))
    return Fail(UsageError("a text to replace is empty or not ASCII"));
  bool found = false;
  for (std::size_t i = 0; i < out_.events.size(); ++i) {
    if (source_[i] >= now_.size()) continue;
    const auto* body = std::get_if<boot::Text>(&now_.decoded[source_[i]].body);
    const Proof& proof = now_.proofs[source_[i]];
    if (body == nullptr || proof.covered.empty()) continue;
    const std::string from = body->utf16 ? std::string(AsText(Utf16Le(text.from, false))) : text.from;
    const std::string to = body->utf16 ? std::string(AsText(Utf16Le(text.to, false))) : text.to;
    // Several replacements apply one after the other.
    const auto [it, is_new] = texts_.try_emplace(source_[i], AsText(proof.covered));
    std::string& covered = it->second;
    bool here = false;
    for (std::size_t at = covered.find(from); at != std::string::npos;
         at = covered.find(from, at + to.size())) {
      covered.replace(at, from.size(), to);
      here = true;
    }
    if (!here && is_new) texts_.erase(it);
    found = found || here;
  }
  if (!found)
    return Fail(
        StateError(BootError::kUnexplained, "no text that the log proves has \"" + text.from + "\" in it"));
  return {};
}

ExpectedBoot Predictor::Take() {
  for (const auto& [i, text] : texts_) {
    const LogDigest* before = now_.event(i).Find(bank());
    if (before == nullptr) continue;
    const auto& body = std::get<boot::Text>(now_.decoded[i].body);
    // The replacement is by digest, because the kernel measures the same command line again.
    changed_[Hex(before->bytes)] = {Hash(bank(), AsBytes(text)).hex(),
                                    Printable(body.prefix + (body.utf16 ? FromUtf16(AsBytes(text)) : text))};
  }
  for (std::size_t i = 0; i < out_.events.size(); ++i) {
    const auto it = source_[i] < now_.size() ? changed_.find(out_.events[i].digest) : changed_.end();
    if (it == changed_.end()) continue;
    out_.events[i].digest = it->second.digest;
    out_.events[i].label = it->second.label;
  }
  for (const OpenRegister& r : out_.open)
    std::erase_if(out_.events, [&](const ExpectedEvent& e) { return e.index == r.index; });
  std::sort(out_.open.begin(), out_.open.end(),
            [](const OpenRegister& a, const OpenRegister& b) { return a.index < b.index; });
  return std::move(out_);
}

}  // namespace

Result<ExpectedBoot> Predict(const Examined& now, const Prediction& change) {
  if (now.log->registers != Registers::kPcr)
    return Fail(
        StateError(BootError::kNotPredictable, "the log is of CC registers, but only PCRs can be predicted"));
  Predictor predictor(now);
  for (const TextReplacement& text : change.texts) ASSAY_TRY(predictor.Text(text));
  for (const FileReplacement& file : change.files) ASSAY_TRY(predictor.File(file));
  return predictor.Take();
}

}  // namespace assay::boot
