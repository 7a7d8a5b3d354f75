#include "list/list.h"
#include "list/path_text.h"

namespace assay::ima {
namespace {

// A field of template data: u32 len | bytes.
void PutField(Writer& w, ByteView value) { w.U32Le(static_cast<std::uint32_t>(value.size())).Put(value); }

void PutDigest(Writer& w, const Digest& digest) {
  Writer field;
  field.Put(HashName(digest.alg())).Put(":").U8(0).Put(digest.view());
  PutField(w, field.bytes());
}

void PutName(Writer& w, std::string_view path) {
  std::string name = PathText(std::string(path));
  name += '\0';
  PutField(w, AsBytes(name));
}

}  // namespace

Bytes EncodeNg(const Digest& file_digest, std::string_view path) {
  Writer w;
  PutDigest(w, file_digest);
  PutName(w, path);
  return w.Take();
}

Bytes EncodeNgCgroup(const Digest& file_digest, std::string_view path, std::string_view cgroup) {
  Writer w;
  PutDigest(w, file_digest);
  PutName(w, path);
  PutName(w, cgroup);
  return w.Take();
}

Bytes EncodeBuf(const Digest& buffer_digest, std::string_view name, ByteView buffer) {
  Writer w;
  PutDigest(w, buffer_digest);
  PutName(w, name);
  PutField(w, buffer);
  return w.Take();
}

Bytes EncodeRecord(std::uint32_t pcr, const Digest& template_digest, std::string_view template_name,
                   ByteView data) {
  Writer w;
  w.U32Le(pcr).Put(template_digest.view());
  w.U32Le(static_cast<std::uint32_t>(template_name.size())).Put(template_name);
  // The template "ima" has no length in front of its data.
  if (template_name != "ima") w.U32Le(static_cast<std::uint32_t>(data.size()));
  w.Put(data);
  return w.Take();
}

Bytes EncodeGroup(const std::vector<InnerRecord>& inner) {
  Writer w;
  for (const InnerRecord& r : inner) {
    w.U32Le(static_cast<std::uint32_t>(r.template_name.size())).Put(r.template_name);
    w.U32Le(static_cast<std::uint32_t>(r.data.size())).Put(r.data);
  }
  return w.Take();
}

Result<std::vector<InnerRecord>> DecodeGroup(ByteView buffer) {
  Reader r(buffer, kGroupName);
  std::vector<InnerRecord> inner;
  while (!r.done()) {
    const std::uint64_t at = r.offset();
    ASSAY_ASSIGN(const std::uint32_t name_size, r.U32Le("template name length"));
    if (name_size == 0 || name_size > kMaxName) return Fail(r.BadAt(at, "template name length"));
    ASSAY_ASSIGN(const ByteView name, r.Take(name_size, "template name"));
    ASSAY_ASSIGN(const std::uint32_t data_size, r.U32Le("template data length"));
    ASSAY_ASSIGN(const ByteView data, r.Take(data_size, "template data"));
    inner.push_back({AsText(name), data});
  }
  return inner;
}

OpenedRecord OpenInner(const RecordView& group, const InnerRecord& inner) {
  static constexpr std::uint8_t kViolation[1] = {0};
  RecordView view = group;
  view.template_name = inner.template_name;
  view.data = inner.data;
  view.raw = {};
  Result<Entry> entry = Decode(view);
  const bool zero = entry && entry->file_digest && !entry->file_digest->bytes.empty() &&
                    std::all_of(entry->file_digest->bytes.begin(), entry->file_digest->bytes.end(),
                                [](std::uint8_t b) { return b == 0; });
  if (zero) view.template_digest = ByteView(kViolation);
  return {view, std::move(entry)};
}

}  // namespace assay::ima
