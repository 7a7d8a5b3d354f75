// PCR values as people and tools write them.
//
//   // given: std::string_view file
//   ASSAY_ASSIGN(tpm::PcrValues values, ParsePcrText(file));              // the output of tpm2_pcrread
//   ASSAY_TRY(AddPcrValue("sha1:7:" + std::string(40, '0'), values));     // ALG:INDEX:HEX
//
// Contract: a text is a sequence of lines: "  sha256:" opens a bank, "    7 : 0x65CA..." is a value of it; or
// each line is ALG:INDEX:HEX. A bank may be in YAML's flow style or in JSON: "sha256: {7: 0x65CA..., 8:
// ...}". Empty lines, lines that begin with #, and warnings of the TSS are skipped; a bank without values
// ("sm3_256:") is no error. Anything else, a value of another size than its bank's, or one PCR given twice is
// a ParseError "parse.pcr-values" with the offset of its line, whose sentence has the line's number, the line
// and the forms that are read.
#pragma once

#include <string_view>

#include "tpm/attest_data.h"

namespace assay::boot {

Result<tpm::PcrValues> ParsePcrText(std::string_view text);
Result<> AddPcrValue(std::string_view text, tpm::PcrValues& values);

}  // namespace assay::boot
