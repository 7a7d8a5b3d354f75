#include "boot/proof.h"

#include <algorithm>

#include "base/name_table.h"

namespace assay::boot {
namespace {

class Prover {
 public:
  Prover(const Event& event, HashAlg bank) : event_(event), bank_(bank) {}

  // Notes the grade if the digest is that of `size` bytes from `at` on.
  bool Try(std::size_t at, std::size_t size, Grade grade, std::string_view how) {
    if (found_ || at > event_.data.size() || size > event_.data.size() - at) return found_;
    const ByteView part = event_.data.subspan(at, size);
    if (!DigestIs(event_, bank_, part)) return false;
    return Found(grade, part, how);
  }
  // The same for `bytes`, which is another encoding of the data.
  bool TryAs(ByteView bytes, std::string_view how) {
    return found_ || (DigestIs(event_, bank_, bytes) && Found(Grade::kProven, event_.data, how));
  }
  bool found() const { return found_; }
  const Proof& proof() const { return proof_; }

 private:
  bool Found(Grade grade, ByteView covered, std::string_view how) {
    proof_ = {grade, covered, how};
    return found_ = true;
  }
  const Event& event_;
  HashAlg bank_;
  bool found_ = false;
  Proof proof_;
};

std::string_view UnprovenReason(const Event& event) {
  if (IsVariableEvent(event.type)) return "the digest is not that of this variable";
  switch (event.type) {
    case kEfiBootServicesApplication:
    case kEfiBootServicesDriver:
    case kEfiRuntimeServicesDriver:
      return "the digest is the image's Authenticode hash; where it was loaded from is not measured";
    case kSCrtmContents:
    case kPostCode:
    case kPostCode2:
    case kEfiPlatformFirmwareBlob:
    case kEfiPlatformFirmwareBlob2:
    case kEfiHcrtmEvent:
    case kCpuMicrocode:
    case kNonhostCode:
      return "the digest is that of the code; its name and address are not measured";
    case kEfiHandoffTables:
    case kEfiHandoffTables2:
    case kPlatformConfigFlags:
    case kTableOfDevices:
    case kNonhostConfig:
    case kNonhostInfo:
    case kEfiSpdmFirmwareBlob:
    case kEfiSpdmFirmwareConfig:
      return "the digest is of data that is not in the log";
    case kIpl:
    case kIplPartitionData:
    case kEventTag:
    case kCompactHash:
      return "the digest is of content that is not in the log; its name is not measured";
    case kSeparator:
      return "the digest is not that of this separator";
    case kAction:
    case kEfiAction:
      return "the digest is not that of this text";
    case kEfiGptEvent:
    case kEfiGptEvent2:
      return "the digest is not that of this partition table";
    default:
      return "the digest is not that of the event data";
  }
}

void TryVariable(const Event& event, Prover& prover) {
  const auto v = ParseVariable(event.data);
  if (!v) return;
  const std::size_t end = v->value_offset + v->value.size();
  prover.Try(0, end, Grade::kProven, "digest of the variable");
  // shim logs some variables with an additional byte at the end, which it does not hash.
  if (v->trailing != 0) prover.Try(0, event.data.size() - 1, Grade::kProven, "digest of the variable");
  // Firmware hashes Boot#### and BootOrder (EV_EFI_VARIABLE_BOOT) without GUID and name.
  prover.Try(v->value_offset, v->value.size(), Grade::kPartly,
             "digest of the variable's value; its name is not measured");
}

// systemd-stub measures a section's name as ASCII with its NUL and logs it as UTF-16.
void TryAsciiName(const Event& event, Prover& prover) {
  const std::string name = FromUtf16(event.data);
  if (name.empty() || event.data.size() < 2 * name.size() + 2) return;
  prover.TryAs({reinterpret_cast<const std::uint8_t*>(name.c_str()), name.size() + 1}, "digest of the name");
}

// Tries the text with and without its NUL, and both without GRUB's prefix. Bytes after the NUL are not
// covered.
void TryText(const Event& event, ByteView trailing, Prover& prover) {
  const ByteView data = event.data.first(event.data.size() - trailing.size());
  const std::string_view text = AsText(data);
  const std::size_t nul = std::min(text.find('\0'), data.size());
  const std::size_t with_nul = std::min(nul + 1, data.size());
  const Grade grade = trailing.empty() ? Grade::kProven : Grade::kPartly;
  const std::string_view how = trailing.empty()
                                   ? "digest of the text"
                                   : "digest of the text; the bytes after its NUL are not measured";
  for (const std::size_t end : {nul, with_nul, data.size() - (data.empty() ? 0 : 1), data.size()})
    prover.Try(0, end, grade, how);
  if (data.size() > 2) prover.Try(0, data.size() - 2, grade, how);  // UTF-16
  const std::size_t prefix = GrubPrefix(text).size();
  if (prefix == 0) return;
  constexpr std::string_view kHow = "digest of the text after the prefix; the prefix is not measured";
  for (const std::size_t end : {nul, with_nul, data.size()})
    prover.Try(prefix, end - prefix, Grade::kPartly, kHow);
}

void TryTagged(const Event& event, ByteView trailing, Prover& prover) {
  constexpr std::size_t kTagHeader = 8;
  constexpr std::string_view kHow = "digest of the tagged data; the tag is not measured";
  if (event.data.size() <= kTagHeader) return;
  prover.Try(kTagHeader, event.data.size() - kTagHeader, Grade::kPartly, kHow);
  if (!trailing.empty() && trailing.size() <= event.data.size() - kTagHeader)
    prover.Try(kTagHeader, event.data.size() - kTagHeader - trailing.size(), Grade::kPartly, kHow);
}

// For CEL content other than PCCLIENT_STD the digest is over the whole TLV, or over an IMA template's data.
void TryCelContent(const Event& event, Prover& prover) {
  prover.TryAs(event.cel->content, "digest of the content's TLV");
  if (event.cel->content_type != kCelImaTemplate) return;
  constexpr std::uint8_t kTemplateData = 1;
  Reader r(event.data, "cel");
  while (!r.done()) {
    const auto type = r.U8();
    const auto size = r.U32Be();
    if (!type || !size || !r.Take(*size, "field")) return;
    const std::size_t at = static_cast<std::size_t>(r.offset()) - *size;
    if (*type == kTemplateData)
      prover.Try(at, *size, Grade::kPartly, "digest of the template data; its name is not measured");
  }
}

}  // namespace

std::string_view GradeName(Grade grade) {
  static constexpr auto kNames = Names<Grade>({{Grade::kProven, "proven"},
                                               {Grade::kPartly, "partly"},
                                               {Grade::kUnproven, "unproven"},
                                               {Grade::kNotMeasured, "not-measured"}});
  return kNames.Of(grade);
}

bool DigestIs(const Event& event, HashAlg bank, ByteView bytes) {
  const LogDigest* digest = event.Find(bank);
  return digest != nullptr && CanReplay(bank) && Equal(Hash(bank, bytes).view(), digest->bytes);
}

Proof Prove(const EventLog& log, const Event& event, HashAlg bank) {
  return Prove(log, event, bank, DecodeEvent(log, event));
}

Proof Prove(const EventLog& log, const Event& event, HashAlg bank, const Decoded& decoded) {
  if (!event.measured()) return {Grade::kNotMeasured, {}, "not extended into any register"};
  if (event.Find(bank) == nullptr) return {Grade::kUnproven, {}, "the event has no digest in this bank"};
  if (!CanReplay(bank)) return {Grade::kUnproven, {}, "this bank's hash can't be computed here"};
  Prover prover(event, bank);
  if (event.data.empty()) return {Grade::kUnproven, {}, "the event has no data"};
  prover.Try(0, event.data.size(), Grade::kProven, "digest of the event data");
  if (prover.found()) return prover.proof();
  if (log.format == Format::kCelTlv && event.type == kNoCelType) {
    TryCelContent(event, prover);
  } else if (IsVariableEvent(event.type)) {
    TryVariable(event, prover);
  } else {
    switch (event.type) {
      case kEventTag:
        TryTagged(event, decoded.trailing, prover);
        break;
      case kIpl:
        TryAsciiName(event, prover);
        TryText(event, decoded.trailing, prover);
        break;
      case kAction:
      case kEfiAction:
      case kSCrtmVersion:
      case kSCrtmContents:
      case kPostCode:
      case kPostCode2:
      case kPlatformConfigFlags:
      case kOmitBootDeviceEvents:
      case kCompactHash:
        TryText(event, decoded.trailing, prover);
        break;
      default:
        break;
    }
  }
  if (!decoded.trailing.empty())
    prover.Try(0, event.data.size() - decoded.trailing.size(), Grade::kPartly,
               "digest of the data without the bytes after it, which are not measured");
  if (prover.found()) return prover.proof();
  return {Grade::kUnproven, {}, UnprovenReason(event)};
}

}  // namespace assay::boot
