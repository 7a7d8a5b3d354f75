// Compares the views of a list, read in any portions and from any offset, with the list rendered record by
// record.
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fuzzing.h"
#include "measure/lists/list_view.h"

using namespace assay;           // NOLINT(google-build-using-namespace): a program of one function
using namespace assay::measure;  // NOLINT(google-build-using-namespace)

namespace {
constexpr std::size_t kAll = std::size_t{1} << 20;
Bytes Shown(ByteView list, HashAlg list_bank, ListKind kind) {
  Bytes out;
  ima::ListReader reader(list, list_bank);
  while (auto next = reader.Next()) {
    if (!*next) break;
    ima::RecordView r = **next;
    const Digest column = r.violation() ? Digest::Filled(kind.bank, 0)
                                        : ima::TemplateDigest(kind.bank, r.template_name, r.data);
    r.template_digest = column.view();
    const std::string line = ima::ToAscii(r);
    const Bytes record = kind.form == ListForm::kAscii
                             ? ToBytes(AsBytes(line))
                             : ima::EncodeRecord(r.pcr, column, r.template_name, r.data);
    out.insert(out.end(), record.begin(), record.end());
  }
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  static const UniqueFd fd(memfd_create("list", MFD_CLOEXEC));
  const std::size_t portion = 1 + data[0] * 8U, jump = data[1] * 16U;
  const ListKind kind{.bank = (data[2] & 1) != 0 ? HashAlg::kSha1 : HashAlg::kSha384,
                      .form = (data[2] & 2) != 0 ? ListForm::kAscii : ListForm::kBinary};
  const ByteView all(data + 3, size - 3);
  // A list of our own: no kexec header, records of PCR 10, and only whole records up to the end that the
  // recorder gives.
  if (ima::HasKexecHeader(all)) return 0;
  ima::ListReader reader(all, HashAlg::kSha256);
  while (true) {
    const auto next = reader.Next();
    if (!next || !*next) break;
    if ((*next)->pcr != 10) return 0;
  }
  const ByteView list = all.first(reader.offset());
  Require(ftruncate(fd.get(), 0) == 0 && PWriteAll(fd.get(), list, 0));
  const Bytes want = Shown(list, HashAlg::kSha256, kind);
  ListView view(fd.get(), HashAlg::kSha256, kind);
  const auto check = [&](std::size_t offset, std::size_t n) {
    const auto got = view.Read(offset, n, list.size());
    Require(got.has_value());
    const std::size_t left = offset < want.size() ? want.size() - offset : 0;
    Require(Equal(*got, ByteView(want).subspan(want.size() - left, std::min(n, left))));
  };
  for (std::size_t at = 0; at <= want.size(); at += portion) check(at, portion);
  check(jump, portion);
  check(want.size() / 2, kAll);
  check(want.size() + jump, portion);
  return 0;
}
