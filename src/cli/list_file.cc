#include "cli/list_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "boot/cel.h"
#include "boot/errors.h"
#include "boot/event_data.h"
#include "cli/errors.h"
#include "list/list.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxList = std::size_t{4} << 30;
constexpr HashAlg kAll[] = {HashAlg::kSha1,    HashAlg::kSha256,   HashAlg::kSha384,   HashAlg::kSha512,
                            HashAlg::kSm3_256, HashAlg::kSha3_256, HashAlg::kSha3_384, HashAlg::kSha3_512};

// Whether the list is ASCII. An ASCII line begins with the PCR in decimal and a space. A binary record begins
// with the PCR as u32, whose last byte is zero.
bool LooksAscii(ByteView content) {
  const std::string_view text = AsText(content).substr(0, 12);
  const std::size_t digit = std::min(text.find_first_not_of(' '), text.size());
  const std::size_t end = text.find_first_not_of("-0123456789", digit);
  return end != std::string_view::npos && end > digit && text[end] == ' ';
}

// The bank in a file name that ends as the kernel's files for a bank do; an extension may follow.
std::optional<HashAlg> BankOfName(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  for (const std::string& stem : {name, name.substr(0, name.rfind('.'))}) {
    for (const HashAlg alg : kAll) {
      if (stem.ends_with("_" + std::string(HashName(alg))) ||
          stem.ends_with("-" + std::string(HashName(alg))))
        return alg;
    }
  }
  return std::nullopt;
}

bool Fits(ByteView list, HashAlg bank) {
  ima::ListReader reader(list, bank);
  const auto first = reader.Next();
  if (!first) return false;
  if (!*first) return true;
  const std::string_view name = (*first)->template_name;
  return IsPrintableAscii(name) && name.find(' ') == std::string_view::npos;
}

Result<HashAlg> BankOfBinary(ByteView list, std::optional<HashAlg> named) {
  if (ima::HasKexecHeader(list)) return HashAlg::kSha1;
  if (named && Fits(list, *named)) return *named;
  for (const HashAlg alg : {HashAlg::kSha256, HashAlg::kSha1, HashAlg::kSha384, HashAlg::kSha512}) {
    if (Fits(list, alg)) return alg;
  }
  return Fail(StateError(CommandError::kUnknownFormat, "is not a measurement list in any bank"));
}

HashAlg BankOfSize(std::size_t size, std::optional<HashAlg> named) {
  if (named && DigestSize(*named) == size) return *named;
  return size == 20   ? HashAlg::kSha1
         : size == 48 ? HashAlg::kSha384
         : size == 64 ? HashAlg::kSha512
                      : HashAlg::kSha256;
}

}  // namespace

Result<HashAlg> ParseBank(const std::string& name) {
  const auto alg = HashFromName(name);
  if (!alg) return Fail(UsageError("not a digest algorithm: " + name));
  return *alg;
}

Result<std::optional<HashAlg>> ParseOptionalBank(const std::string& name) {
  if (name.empty()) return std::optional<HashAlg>();
  ASSAY_ASSIGN(const HashAlg bank, ParseBank(name));
  return std::optional(bank);
}

// The columns are the digests of the log in the given bank, or else in the log's best one.
Result<ListFile> ListFile::OfCel(ByteView content, std::optional<HashAlg> bank) {
  boot::ParseOptions options;
  options.format = boot::Format::kCelTlv;
  ASSAY_ASSIGN(const boot::EventLog log, boot::ParseEventLog(content, options));
  const auto chosen = bank ? bank : log.DefaultBank();
  if (!chosen)
    return Fail(StateError(boot::BootError::kNoBank, "the log has no bank whose hash can be computed here"));
  ListFile file;
  file.bank_ = *chosen;
  for (const boot::Event& e : log.events) {
    const bool imas = e.cel && e.cel->content_type == boot::kCelImaTemplate;
    if (!imas) {
      ++file.not_imas_;
      continue;
    }
    const boot::Decoded decoded = boot::DecodeEvent(log, e);
    const auto* record = std::get_if<boot::ImaTemplate>(&decoded.body);
    const boot::LogDigest* logged = e.Find(file.bank_);
    if (record == nullptr || logged == nullptr)
      return Fail(ParseError("cel", e.offset,
                             record == nullptr ? "an IMA record that can't be decoded"
                                               : "an IMA record without this bank's digest"));
    ASSAY_ASSIGN(const Digest column, Digest::Of(file.bank_, logged->bytes));
    const Bytes one = ima::EncodeRecord(e.index, column, record->name, record->data);
    file.list_.insert(file.list_.end(), one.begin(), one.end());
  }
  if (file.list_.empty())
    return Fail(
        StateError(CommandError::kUnknownFormat, "is an event log without records of IMA: assay boot show"));
  return file;
}

Result<ListFile> ListFile::Of(Bytes content, const std::string& name, std::optional<HashAlg> bank) {
  if (boot::LooksLikeCel(content)) return OfCel(content, bank);
  ListFile file;
  file.ascii_ = LooksAscii(content);
  if (!file.ascii_) {
    file.list_ = std::move(content);
    if (bank) {
      file.bank_ = *bank;
    } else {
      ASSAY_ASSIGN(file.bank_, BankOfBinary(file.list_, BankOfName(name)));
    }
    return file;
  }
  ASSAY_ASSIGN(const std::vector<ima::OwnedRecord> records, ima::ParseAscii(AsText(content)));
  file.bank_ = BankOfSize(records.front().template_digest.size(), bank ? bank : BankOfName(name));
  if (bank && file.bank_ != *bank)
    return Fail(UsageError(name + ": its columns are not " + std::string(HashName(*bank))));
  for (const ima::OwnedRecord& r : records) {
    const auto column = Digest::Of(file.bank_, r.template_digest);
    if (!column)
      return Fail(StateError(CommandError::kMixedColumns, "template digests of different sizes in one list"));
    const Bytes record = ima::EncodeRecord(r.pcr, *column, r.template_name, r.data);
    file.list_.insert(file.list_.end(), record.begin(), record.end());
  }
  return file;
}

Result<ListFile> ListFile::Read(const std::string& path, std::optional<HashAlg> bank) {
  ASSAY_ASSIGN(Bytes content, path == "-" ? ReadAll(STDIN_FILENO, kMaxList) : ReadFile(path, kMaxList));
  Result<ListFile> file = Of(std::move(content), path, bank);
  if (!file) return Fail(file.error().In(path));
  return file;
}

Result<> WriteOutput(const std::string& path, ByteView data) {
  if (path == "-") return WriteAll(STDOUT_FILENO, data);
  struct stat info{};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    ASSAY_ASSIGN(const UniqueFd fd, Open(path, O_WRONLY));
    return WriteAll(fd.get(), data);
  }
  return WriteFileAtomic(path, data, 0644);
}

}  // namespace assay::cli
