// A measurement list in any form that a user may have: binary or ASCII, of any bank, carried over a kexec or
// not, or the IMA records of a canonical event log (CEL).
//
//   ASSAY_ASSIGN(ListFile file, ListFile::Read("binary_runtime_measurements_sha256", std::nullopt));
//   log::Info("{} bytes, {}", file.list().size(), HashName(file.bank()));
//
// Contract: an ASCII list is converted to a binary one with the same records. The bank of the columns is the
// one given, else the one at the end of the file's name (_sha256), else the first that fits the beginning of
// the list. "-" is standard input.
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
  std::size_t not_imas() const {
    return not_imas_;
  }  // records of a canonical event log that are not IMA's and were left out

 private:
  static Result<ListFile> OfCel(ByteView content, std::optional<HashAlg> bank);
  Bytes list_;
  HashAlg bank_ = HashAlg::kSha256;
  bool ascii_ = false;
  std::size_t not_imas_ = 0;
};

// "-" is standard output. A regular file is replaced; anything else is opened and written to.
Result<> WriteOutput(const std::string& path, ByteView data);

// Parses the name of a digest algorithm as a user gives it; a UsageError for an unknown one.
Result<HashAlg> ParseBank(const std::string& name);
Result<std::optional<HashAlg>> ParseOptionalBank(const std::string& name);  // an empty name: none

}  // namespace assay::cli
