#include "boot/story.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "boot/teller.h"

namespace assay::boot {
namespace {

std::string KeyText(const Signature& s) {
  if (s.certificate) {
    const Certificate& c = *s.certificate;
    return c.subject == c.issuer ? c.subject : fmt::format("{} (issued by {})", c.subject, c.issuer);
  }
  return s.data.size() <= kMaxDigestSize ? s.type_name + ":" + Hex(s.data)
                                         : fmt::format("{} of {} bytes", s.type_name, s.data.size());
}

void TellFirmware(const Examined& x, std::size_t i, Teller& teller) {
  const Event& e = x.event(i);
  if (e.type == kSCrtmVersion) {
    constexpr std::size_t kGuid = 16;
    const std::string text = x.TextOf(i);
    const bool is_empty = e.data.size() <= 2 &&
                          std::all_of(e.data.begin(), e.data.end(), [](std::uint8_t b) { return b == 0; });
    const std::string version = !text.empty() || is_empty ? "\"" + text + "\""
                                : e.data.size() == kGuid  ? GuidFrom(e.data).ToString()
                                                          : Hex(e.data);
    teller.Tell("firmware", "S-CRTM version " + version, i);
  } else if (e.type == kEfiHcrtmEvent) {
    teller.Tell("firmware", "started by a hardware root of trust for measurement (H-CRTM)", i, true);
  } else if (const auto* m = std::get_if<ReferenceManifest>(&x.decoded[i].body)) {
    StoryLine& line =
        teller.Tell("firmware",
                    fmt::format("{} {}, firmware {} {}", m->platform_manufacturer, m->platform_model,
                                m->firmware_manufacturer, m->firmware_version),
                    i);
    line.details.push_back("reference manifest " + m->reference_manifest.ToString());
  } else if (const auto* locality = std::get_if<StartupLocality>(&x.decoded[i].body)) {
    teller.Tell("firmware", fmt::format("the TPM was started at locality {}", locality->locality), i);
  }
}

// Google Compute Engine says which confidential computing technology the machine runs on.
void TellPlatform(const Examined& x, std::size_t i, Teller& teller) {
  constexpr std::string_view kGce("GCE NonHostInfo\0", 16);
  constexpr std::string_view kTechnologies[] = {"none", "AMD SEV", "AMD SEV-ES", "Intel TDX", "AMD SEV-SNP"};
  const Event& e = x.event(i);
  if (e.type != kNonhostInfo || !AsText(e.data).starts_with(kGce) || e.data.size() <= kGce.size()) return;
  const std::uint8_t technology = e.data[kGce.size()];
  teller.Tell("platform",
              fmt::format("Google Compute Engine, confidential computing: {}",
                          technology < std::size(kTechnologies) ? std::string(kTechnologies[technology])
                                                                : fmt::format("{:#04x}", technology)),
              i);
}

void TellSecureBoot(const Examined& x, Teller& teller) {
  const SecureBootState state = FindSecureBoot(x);
  if (state.state != SecureBoot::kUnknown || !state.events.empty()) {
    StoryLine line;
    line.topic = "secure-boot";
    line.text = state.state == SecureBoot::kOn    ? "on"
                : state.absent                    ? "off (there is no such variable)"
                : state.state == SecureBoot::kOff ? "off"
                                                  : "could not tell";
    line.grade = state.state == SecureBoot::kUnknown ? Grade::kUnproven : Grade::kProven;
    line.reason = state.state == SecureBoot::kUnknown ? state.reason : "digest of the variable";
    line.events = state.events;
    teller.Add(std::move(line));
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x.event(i).type == kEfiAction && x.In(i, 7)) teller.Tell("secure-boot", x.TextOf(i), i);
  }
}

void TellDatabase(const Variable& v, std::size_t i, Teller& teller) {
  const auto& signatures = std::get<SignatureDatabase>(v.meaning).signatures;
  std::size_t certificates = 0, hashes = 0;
  for (const Signature& s : signatures) ++(s.type_name == "x509" ? certificates : hashes);
  StoryLine& line = teller.Tell("key",
                                fmt::format("{}: {} certificate{}, {} hash{}", v.name, certificates,
                                            certificates == 1 ? "" : "s", hashes, hashes == 1 ? "" : "es"),
                                i);
  for (const Signature& s : signatures) {
    if (s.type_name == "x509") line.details.push_back(Printable(KeyText(s)));
  }
}

void TellVariable(const Examined& x, std::size_t i, const Variable& v, Teller& teller) {
  const Event& e = x.event(i);
  if (e.type == kEfiVariableAuthority) {
    if (const auto* s = std::get_if<Signature>(&v.meaning))
      teller.Tell("key", fmt::format("an image was accepted by {}: {}", v.name, KeyText(*s)), i);
    else if (const auto* text = std::get_if<std::string>(&v.meaning))
      teller.Tell("shim", fmt::format("{}: {}", v.name, OneLine(*text)), i);
    else
      teller.Tell("key", fmt::format("authority {} ({} bytes)", v.name, v.value.size()), i);
    return;
  }
  if (std::holds_alternative<SignatureDatabase>(v.meaning)) {
    TellDatabase(v, i, teller);
  } else if (const auto* order = std::get_if<BootOrder>(&v.meaning)) {
    std::string text;
    for (std::uint16_t entry : order->entries)
      text += fmt::format("{}{:04X}", text.empty() ? "" : ", ", entry);
    teller.Tell("boot-order", v.name + ": " + text, i);
  } else if (const auto* option = std::get_if<LoadOption>(&v.meaning)) {
    StoryLine& line = teller.Tell("boot-entry", fmt::format("{}: {}", v.name, option->description), i);
    if (!option->device_path.empty()) line.details.push_back(DevicePathText(option->device_path));
  }
}

void TellGpt(const Gpt& gpt, std::size_t i, Teller& teller) {
  StoryLine& line =
      teller.Tell("partition-table",
                  fmt::format("disk {}, {} partitions", gpt.disk.ToString(), gpt.partitions.size()), i);
  for (const Partition& p : gpt.partitions)
    line.details.push_back(
        fmt::format("{} {} \"{}\"", p.unique.ToString(), GuidLabel(p.type), Printable(p.name)));
}

void TellBlobs(const Examined& x, Teller& teller) {
  std::uint64_t bytes = 0;
  StoryLine line;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* blob = std::get_if<FirmwareBlob>(&x.decoded[i].body);
    if (blob == nullptr) continue;
    bytes += blob->length;
    line.events.push_back(x.event(i).number);
    line.reason = x.proofs[i].how;
    line.details.push_back(fmt::format("{:#x}, {} bytes{}{}", blob->base, blob->length,
                                       blob->description.empty() ? "" : ": ", Printable(blob->description)));
  }
  if (line.events.empty()) return;
  line.topic = "firmware";
  line.text = fmt::format("{} volumes or tables of code, {} bytes", line.events.size(), bytes);
  teller.Add(std::move(line));
}

bool IsSecureBootKey(const Examined& x, std::size_t i) {
  const auto* v = std::get_if<Variable>(&x.decoded[i].body);
  return v != nullptr && IsSecureBootName(v->name) && x.event(i).type != kEfiVariableAuthority;
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n' || c == '\r') {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (c != '\0') {
      out += c;
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string Head(ByteView data) {
  constexpr std::size_t kShown = 64;
  return Printable(AsText(data.first(std::min(data.size(), kShown)))) + (data.size() > kShown ? "..." : "");
}

StoryLine& Teller::Tell(std::string topic, std::string_view text, std::size_t i, bool with_digest) {
  const Event& e = x_.event(i);
  StoryLine line;
  line.topic = std::move(topic);
  line.text = Printable(text);
  line.grade = x_.proofs[i].grade;
  line.reason = x_.proofs[i].how;
  line.events = {e.number};
  // The firmware's own statements come before the separator. Later any program can write such an event.
  const bool firmware = line.topic == "firmware" || line.topic == "platform" || IsSecureBootKey(x_, i);
  if (firmware && x_.after_separator[i]) {
    line.grade = Grade::kUnproven;
    line.reason = "measured after the separator of its register, where any program can do that";
  }
  if (const ByteView rest = x_.decoded[i].trailing; !rest.empty())
    line.details.push_back(fmt::format("{} bytes follow: {}", rest.size(), Head(rest)));
  if (with_digest) {
    if (const LogDigest* d = e.Find(x_.bank))
      line.digest = std::string(HashName(x_.bank)) + ":" + Hex(d->bytes);
  }
  return Add(std::move(line));
}

std::vector<StoryLine> TellBoot(const Examined& x) {
  std::vector<StoryLine> lines;
  TellBoot(x, [&](StoryLine line) { lines.push_back(std::move(line)); });
  return lines;
}

void TellBoot(const Examined& x, const std::function<void(StoryLine)>& sink) {
  Teller teller(x, sink);
  for (std::size_t i = 0; i < x.size(); ++i) TellFirmware(x, i, teller);
  TellBlobs(x, teller);
  for (std::size_t i = 0; i < x.size(); ++i) TellPlatform(x, i, teller);
  TellSecureBoot(x, teller);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto* v = std::get_if<Variable>(&x.decoded[i].body);
    if (v != nullptr && x.event(i).measured()) TellVariable(x, i, *v, teller);
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (const auto* gpt = std::get_if<Gpt>(&x.decoded[i].body)) TellGpt(*gpt, i, teller);
  }
  TellLoaders(x, teller);
  TellRest(x, teller);
  teller.Flush();
}

}  // namespace assay::boot
