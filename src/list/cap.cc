#include "list/cap.h"

#include "base/crypto.h"
#include "list/list.h"

namespace assay::ima {

Bytes CapData() {
  return EncodeBuf(Hash(HashAlg::kSha256, AsBytes(ASSAY_CAP_TEXT)), kCapName, AsBytes(ASSAY_CAP_TEXT));
}

Digest CapExtend(HashAlg bank) { return TemplateDigest(bank, TemplateName(Template::kBuf), CapData()); }

}  // namespace assay::ima
