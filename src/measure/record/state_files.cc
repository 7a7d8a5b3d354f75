#include "measure/record/state_files.h"

namespace assay::measure {

// u64 overflow | u64 entries | u64 violations | u8 n | n * (u16 TPM_ALG_ID | before | extend)
Bytes EncodeOverflow(const OverflowState& state) {
  Writer w;
  w.U64Le(state.overflow).U64Le(state.entries).U64Le(state.violations);
  w.U8(static_cast<std::uint8_t>(state.banks.size()));
  for (const OverflowState::Bank& bank : state.banks)
    w.U16Le(static_cast<std::uint16_t>(bank.before.alg())).Put(bank.before.view()).Put(bank.extend.view());
  return w.Take();
}

Result<OverflowState> ParseOverflow(ByteView bytes) {
  Reader r(bytes, "overflow");
  OverflowState s;
  ASSAY_ASSIGN(s.overflow, r.U64Le("count"));
  if (s.overflow == 0) return Fail(r.BadAt(0, "count of nothing"));
  ASSAY_ASSIGN(s.entries, r.U64Le("entries"));
  ASSAY_ASSIGN(s.violations, r.U64Le("violations"));
  ASSAY_ASSIGN(const std::uint8_t n, r.U8("banks"));
  for (std::uint8_t i = 0; i < n; ++i) {
    ASSAY_ASSIGN(const std::uint16_t id, r.U16Le("bank"));
    const auto alg = HashFromTpmAlg(id);
    if (!alg || !CanHash(*alg)) return Fail(r.BadAt(r.offset() - 2, "bank"));
    ASSAY_ASSIGN(const ByteView before, r.Take(DigestSize(*alg), "value"));
    ASSAY_ASSIGN(const ByteView extend, r.Take(DigestSize(*alg), "extend"));
    OverflowState::Bank bank;
    ASSAY_ASSIGN(bank.before, Digest::Of(*alg, before));
    ASSAY_ASSIGN(bank.extend, Digest::Of(*alg, extend));
    s.banks.push_back(bank);
  }
  if (!r.done()) return Fail(r.Bad("bytes after the end"));
  return s;
}

std::size_t WholeEntries(ByteView pending) {
  Reader r(pending, "pending");
  std::size_t whole = 0;
  while (!r.done()) {
    const auto part = [&]() -> Result<> {
      ASSAY_ASSIGN(const std::uint32_t size, r.U32Le("size"));
      ASSAY_TRY(r.Take(size, "part"));
      return {};
    };
    if (!part() || !part()) break;
    whole = r.offset();
  }
  return whole;
}

}  // namespace assay::measure
