#include "measure/lists/list_view.h"

#include <algorithm>

#include "base/fd.h"

namespace assay::measure {

ListView::ListView(int list_fd, HashAlg list_bank, ListKind kind)
    : fd_(list_fd), list_bank_(list_bank), kind_(kind), places_{Place{}} {}

Bytes ListView::Render(const ima::RecordView& record) const {
  const Digest column = record.violation()
                            ? Digest::Filled(kind_.bank, 0)
                            : ima::TemplateDigest(kind_.bank, record.template_name, record.data);
  if (kind_.form == ListForm::kBinary)
    return ima::EncodeRecord(record.pcr, column, record.template_name, record.data);
  ima::RecordView shown = record;
  shown.template_digest = column.view();
  return ToBytes(AsBytes(ima::ToAscii(shown)));
}

ListView::Place ListView::Nearest(std::uint64_t offset) const {
  const auto after = std::upper_bound(places_.begin(), places_.end(), offset,
                                      [](std::uint64_t o, const Place& p) { return o < p.offset; });
  const Place& mark = *std::prev(after);
  return last_.offset <= offset && last_.offset > mark.offset ? last_ : mark;
}

Result<Bytes> ListView::Read(std::uint64_t offset, std::size_t size, std::uint64_t list_end) {
  Bytes out;
  if (kind_.bank == list_bank_ && kind_.form == ListForm::kBinary) {  // the view is the file itself
    if (offset >= list_end) return out;
    out.resize(std::min<std::uint64_t>(size, list_end - offset));
    ASSAY_TRY(PReadExact(fd_, out.data(), out.size(), static_cast<off_t>(offset)));
    return out;
  }
  Place here = Nearest(offset);
  ListStream stream(fd_, list_bank_, here.list, list_end);
  while (out.size() < size) {
    here.list = stream.place();
    if (here.list.index % kStride == 0 && here.offset > places_.back().offset) places_.push_back(here);
    last_ = here;
    ASSAY_ASSIGN(const std::optional<ima::RecordView> record, stream.Next());
    if (!record) break;
    const Bytes shown = Render(*record);
    const std::uint64_t end = here.offset + shown.size();
    if (end > offset) {
      const std::size_t skip = offset > here.offset ? offset - here.offset : 0;
      const std::size_t n = std::min(shown.size() - skip, size - out.size());
      out.insert(out.end(), shown.begin() + static_cast<std::ptrdiff_t>(skip),
                 shown.begin() + static_cast<std::ptrdiff_t>(skip + n));
    }
    here.offset = end;
  }
  return out;
}

}  // namespace assay::measure
