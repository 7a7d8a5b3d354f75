// What NV holds as a certificate and its chain, and what is read from it, as an EK's and as one of the
// machine's own keys. The input is u16be n | nv[n] | chain. Without a root every certificate is refused.
#include "base/fuzzing.h"
#include "tpm/device_certificate.h"
#include "tpm/ek_certificate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::tpm;
  static const EkTrust nobody;
  static const KeyPublic ek;
  Reader r({data, size}, "fuzz");
  const auto n = r.U16Be();
  if (!n) return 0;
  const auto nv = r.Take(std::min<std::size_t>(*n, r.remaining()), "nv");
  const ByteView chain = r.rest();
  if (const auto parts = SplitDer(chain)) {
    std::size_t all = 0;
    for (const Bytes& part : *parts) all += part.size();
    Require(parts->size() <= 16 && all <= chain.size());
  }
  const auto certificate = TrimDer(*nv);
  if (!certificate) return 0;
  const auto again = TrimDer(*certificate);
  Require(again && *again == *certificate);
  const EkReport report = CheckEkCertificate(*certificate, chain, ek, nobody, 1'764'000'000);
  Require(!report.problems.empty());
  for (const std::string& text : {report.facts.manufacturer, report.facts.model, report.facts.version})
    Require(text.size() <= 64);
  (void)report.facts.Vendor();
  const DeviceReport device = CheckDeviceCertificate(*certificate, chain, nobody, 1'764'000'000);
  Require(!device.problems.empty() && device.facts.subject.size() <= 256);
  Require(device.facts.model.size() <= 64 && device.facts.serial.size() <= 64);
  Require(!IsForKey(*certificate, ek) && !CheckDeviceProof(*certificate, chain, chain, {}, {}));
  return 0;
}
