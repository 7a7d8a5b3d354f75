// TPMS_ATTEST, TPMT_PUBLIC and TPMT_SIGNATURE. The input is u16be n | public[n] | u16be m | attest[m] |
// signature.
#include "base/fuzzing.h"
#include "tpm/attest_data.h"

namespace {

using namespace assay;
using namespace assay::tpm;

ByteView Part(Reader& r) {
  const auto size = r.U16Be();
  if (!size) return {};
  const auto bytes = r.Take(std::min<std::size_t>(*size, r.remaining()), "part");
  return bytes ? *bytes : ByteView{};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader r({data, size}, "fuzz");
  const ByteView public_area = Part(r), attest = Part(r), signature = r.rest();
  if (const auto quote = ParseQuote(attest)) {
    Require(quote->selection.size() <= 16);
    for (const BankSelection& bank : quote->selection)
      for (std::size_t i = 0; i < bank.pcrs.size(); ++i)
        Require(bank.pcrs[i] < 256 && (i == 0 || bank.pcrs[i - 1] < bank.pcrs[i]));
    // A shorter or longer form is an error.
    Require(!ParseQuote(attest.first(attest.size() - 1)));
  }
  if (const auto creation = ParseCreation(attest)) {
    Require(creation->object_name.size() <= 66 && !ParseQuote(attest));
    Require(!ParseCreation(attest.first(attest.size() - 1)));
  }
  const auto key = ParsePublic(public_area);
  if (!key) return 0;
  Require(!ParsePublic(public_area.first(public_area.size() - 1)));
  if (CheckAkAttributes(*key)) Require(key->kind != KeyPublic::Kind::kOther);
  if (const auto usable = key->Key()) {
    Require(!usable->Der().empty());
    // A signature is valid for one attestation only.
    if (VerifyQuoteSignature(*key, attest, signature)) {
      Bytes other = ToBytes(attest);
      other.push_back(0);
      Require(!VerifyQuoteSignature(*key, other, signature));
      Require(!VerifyAttestSignature(*usable, other, signature));
    }
    (void)VerifyAttestSignature(*usable, attest, signature);
  }
  return 0;
}
