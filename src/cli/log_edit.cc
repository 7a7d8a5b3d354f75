// The commands `assay log convert` and `assay log edit`.
#include <fmt/core.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "cli/cmd_log.h"

namespace assay::cli {
namespace {

Result<std::vector<ima::RecordView>> ReadRecords(const ListFile& file) {
  std::vector<ima::RecordView> records;
  ima::ListReader reader(file.list(), file.bank());
  while (true) {
    ASSAY_ASSIGN(const std::optional<ima::RecordView> record, reader.Next());
    if (!record) return records;
    records.push_back(*record);
  }
}

void Append(Bytes& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

// The column in the bank `to`. If the bank does not change, the column is kept, even a wrong one.
Result<Digest> Column(const ima::RecordView& r, HashAlg from, HashAlg to) {
  if (from == to) return Digest::Of(to, r.template_digest);
  return r.violation() ? Digest::Filled(to, 0) : ima::TemplateDigest(to, r.template_name, r.data);
}

Result<std::uint64_t> Index(std::uint64_t index, std::size_t count) {
  if (index >= count)
    return Fail(UsageError(fmt::format("there is no record {}: the list has {}", index, count)));
  return index;
}

Result<std::pair<std::uint64_t, std::uint64_t>> ParseSwap(const std::string& text) {
  std::uint64_t a = 0, b = 0;
  const char* const last = text.data() + text.size();
  const auto first = std::from_chars(text.data(), last, a);
  if (first.ec == std::errc() && first.ptr != last && *first.ptr == ',') {
    const auto second = std::from_chars(first.ptr + 1, last, b);
    if (second.ec == std::errc() && second.ptr == last) return std::pair(a, b);
  }
  return Fail(UsageError("--swap: not two record numbers A,B: " + text));
}

// Alters a record as an attacker would to hide a file's digest: the file digest changes, and the column fits
// it.
Result<Bytes> Alter(const ima::RecordView& r, HashAlg bank) {
  if (r.data.empty())
    return Fail(UsageError(fmt::format("record {} has no digest that could be altered", r.index)));
  if (!CanHash(bank)) return Fail(UsageError(fmt::format("columns of {} can't be computed", HashName(bank))));
  Bytes data = ToBytes(r.data);
  std::size_t at = data.size() - 1;
  if (const auto entry = ima::Decode(r); entry && entry->file_digest && !entry->file_digest->bytes.empty()) {
    for (const ima::Field& field : entry->fields) {
      if (!field.id.starts_with("d")) continue;
      at = static_cast<std::size_t>(field.value.data() + field.value.size() - r.data.data()) - 1;
      break;
    }
  }
  data[at] ^= 1;
  const Digest column =
      r.violation() ? Digest::Filled(bank, 0) : ima::TemplateDigest(bank, r.template_name, data);
  return ima::EncodeRecord(r.pcr, column, r.template_name, data);
}

}  // namespace

Result<int> ConvertLog(const ConvertOptions& o, const Session& session) {
  if (session.json && o.out == "-")
    return Fail(UsageError("log convert: with --json standard output has the document; name a file"));
  ASSAY_ASSIGN(const std::optional<HashAlg> list_bank, ParseOptionalBank(o.list_bank));
  ASSAY_ASSIGN(const ListFile file, ListFile::Read(o.file, list_bank));
  ASSAY_ASSIGN(const std::optional<HashAlg> given, ParseOptionalBank(o.bank));
  const HashAlg bank = given.value_or(file.bank());
  if (bank != file.bank() && !CanHash(bank))
    return Fail(UsageError(fmt::format("columns of {} can't be computed", HashName(bank))));
  ASSAY_ASSIGN(const std::vector<ima::RecordView> records, ReadRecords(file));
  Bytes out;
  std::uint64_t lossy = 0;
  for (ima::RecordView r : records) {
    ASSAY_ASSIGN(const Digest column, Column(r, file.bank(), bank));
    if (o.to == "binary") {
      Append(out, ima::EncodeRecord(r.pcr, column, r.template_name, r.data));
      continue;
    }
    r.template_digest = column.view();
    const std::string line = ima::ToAscii(r);
    const auto again = ima::ParseAscii(line);
    if (!again || again->size() != 1 || !Equal(again->front().data, r.data)) ++lossy;
    Append(out, AsBytes(line));
  }
  if (lossy > 0)
    fmt::print(stderr, "assay: {} record(s) can't be converted back from their ASCII form\n", lossy);
  ASSAY_TRY(WriteOutput(o.out, out));
  if (session.json) session.Answer({{"written", o.out}, {"records", records.size()}, {"lossy", lossy}});
  return kExitOk;
}

Result<int> EditLog(const EditOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::optional<HashAlg> bank, ParseOptionalBank(o.bank));
  ASSAY_ASSIGN(const ListFile file, ListFile::Read(o.file, bank));
  ASSAY_ASSIGN(std::vector<ima::RecordView> records, ReadRecords(file));
  Bytes altered;  // must outlive `records`
  if (o.remove) {
    ASSAY_ASSIGN(const std::uint64_t index, Index(*o.remove, records.size()));
    records.erase(records.begin() + static_cast<std::ptrdiff_t>(index));
  } else if (o.alter) {
    ASSAY_ASSIGN(const std::uint64_t index, Index(*o.alter, records.size()));
    ASSAY_ASSIGN(altered, Alter(records[index], file.bank()));
    records[index].raw = altered;
  } else if (o.truncate) {
    if (*o.truncate > records.size()) ASSAY_TRY(Index(*o.truncate, records.size()));
    records.resize(static_cast<std::size_t>(*o.truncate));
  } else {
    ASSAY_ASSIGN(const auto swap, ParseSwap(o.swap));
    ASSAY_ASSIGN(const std::uint64_t a, Index(swap.first, records.size()));
    ASSAY_ASSIGN(const std::uint64_t b, Index(swap.second, records.size()));
    std::swap(records[a], records[b]);
  }
  Bytes out;
  for (const ima::RecordView& r : records) Append(out, r.raw);
  ASSAY_TRY(WriteOutput(o.out, out));
  if (session.json) session.Answer({{"written", o.out}, {"records", records.size()}});
  return kExitOk;
}

}  // namespace assay::cli
