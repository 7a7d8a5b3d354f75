#include <algorithm>

#include "list/template.h"

namespace assay::ima {
namespace {

constexpr std::string_view kFormat = "ima-list";
constexpr std::size_t kKexecHeader = 24;
constexpr std::uint64_t kMaxKexecSize = std::uint64_t{1} << 40;

}  // namespace

bool RecordView::violation() const {
  return std::all_of(template_digest.begin(), template_digest.end(), [](std::uint8_t b) { return b == 0; });
}

// ima_kexec_hdr: u16 version (1) | u16 reserved | u32 reserved | u64 buffer_size | u64 count, little-endian.
// A list without this header can't begin with these bytes, unless its first record is for PCR 1 and its
// digest has zeros in seven places.
std::optional<ListReader::Kexec> ListReader::KexecHeader(ByteView data) {
  Reader r(data, kFormat);
  const auto version = r.U16Le(), reserved0 = r.U16Le();
  const auto reserved1 = r.U32Le();
  const auto size = r.U64Le(), count = r.U64Le();
  if (!count || *version != 1 || *reserved0 != 0 || *reserved1 != 0) return std::nullopt;
  if (*size < kKexecHeader || *size > kMaxKexecSize || *count > *size) return std::nullopt;
  return Kexec{*size, *count};
}

bool HasKexecHeader(ByteView list) { return ListReader(list, HashAlg::kSha1).offset() != 0; }

ListReader::ListReader(ByteView data, HashAlg bank, std::uint64_t first_index)
    : data_(data), bank_(bank), first_index_(first_index), index_(first_index), kexec_(KexecHeader(data)) {
  if (!kexec_) return;
  pos_ = kKexecHeader;
  // The bytes after that are the rest of the last memory page.
  if (kexec_->size < data_.size()) data_ = data_.first(static_cast<std::size_t>(kexec_->size));
}

Result<> ListReader::CheckEnd() const {
  if (kexec_ && data_.size() < kexec_->size)
    return Fail(ParseError(std::string(kFormat), pos_, "shorter than its kexec header says"));
  if (kexec_ && index_ - first_index_ != kexec_->count)
    return Fail(ParseError(std::string(kFormat), 16, "the kexec header counts other records"));
  return {};
}

Result<std::optional<RecordView>> ListReader::Next() {
  if (pos_ == data_.size()) {
    ASSAY_TRY(CheckEnd());
    return std::optional<RecordView>();
  }
  Reader r(data_.subspan(pos_), kFormat, pos_);
  RecordView v;
  v.index = index_;
  v.offset = pos_;
  ASSAY_ASSIGN(v.pcr, r.U32Le("pcr"));
  ASSAY_ASSIGN(v.template_digest, r.Take(DigestSize(bank_), "template digest"));
  ASSAY_ASSIGN(const std::uint32_t name_size, r.U32Le("template name length"));
  if (name_size == 0 || name_size > kMaxName) return Fail(r.BadAt(r.offset() - 4, "template name length"));
  ASSAY_ASSIGN(const ByteView name, r.Take(name_size, "template name"));
  v.template_name = AsText(name);
  if (v.template_name.find('\0') != std::string_view::npos)
    return Fail(r.BadAt(r.offset() - name_size, "template name"));
  if (v.template_name == "ima") {
    const std::uint64_t at = r.offset();
    const ByteView rest = r.rest();
    ASSAY_TRY(r.Take(kImaDigestSize, "file digest"));
    ASSAY_ASSIGN(const std::uint32_t path_size, r.U32Le("file name length"));
    if (path_size > kMaxRecord) return Fail(r.BadAt(r.offset() - 4, "file name length"));
    ASSAY_TRY(r.Take(path_size, "file name"));
    v.data = rest.first(static_cast<std::size_t>(r.offset() - at));
  } else {
    ASSAY_ASSIGN(const std::uint32_t data_size, r.U32Le("template data length"));
    if (data_size > kMaxRecord) return Fail(r.BadAt(r.offset() - 4, "template data length"));
    ASSAY_ASSIGN(v.data, r.Take(data_size, "template data"));
  }
  v.raw = data_.subspan(pos_, static_cast<std::size_t>(r.offset() - pos_));
  pos_ = r.offset();
  ++index_;
  return std::optional<RecordView>(v);
}

}  // namespace assay::ima
