// A measurement list as a user has it: binary or ASCII, of any bank, carried over a kexec or not, or the IMA
// records of a canonical event log (CEL).
//
//   ASSAY_ASSIGN(ListFile file, ListFile::Read("binary_runtime_measurements_sha256", std::nullopt));
//   ima::ListReader reader(file.list(), file.bank());
//
// Contract: an ASCII list becomes a binary one of the same records. The bank of the columns is what was
// given, else what the file's name ends with (_sha256), else the first that the beginning fits. "-" is
// standard input.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/digest.h"

namespace assay::cli {

class ListFile {
 public:
  static Result<ListFile> Read(const std::string& path, std::optional<HashAlg> bank);
  static Result<ListFile> Of(Bytes content, const std::string& name, std::optional<HashAlg> bank);
  ByteView list() const { return list_; }
  HashAlg bank() const { return bank_; }
  bool ascii() const { return ascii_; }
  std::size_t not_imas() const { return not_imas_; }  // of a canonical event log: records left out

 private:
  static Result<ListFile> OfCel(ByteView content, std::optional<HashAlg> bank);
  Bytes list_;
  HashAlg bank_ = HashAlg::kSha256;
  bool ascii_ = false;
  std::size_t not_imas_ = 0;
};

// "-" is standard output. Anything but a regular file is written to, not replaced.
Result<> WriteOutput(const std::string& path, ByteView data);

// The name of a digest algorithm as a user gives it: a UsageError when there is none.
Result<HashAlg> ParseBank(const std::string& name);
Result<std::optional<HashAlg>> ParseOptionalBank(const std::string& name);  // empty: none

}  // namespace assay::cli
