// Internal: an opened file, as the reader and the merge see it.
//
//   // given: const Value& value
//   ASSAY_ASSIGN(const std::unique_ptr<IndexFile> file, IndexFile::Open("fleet.who"));
//   if (const std::optional<std::uint64_t> row = file->RowOf(value)) log::Info("row {}", *row);
//
// Contract: every table of an opened file lies within its bytes. A row is not checked until it is used.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "base/mapped.h"
#include "who_ran/format.h"
#include "who_ran/value_sets.h"
#include "who_ran/who_ran.h"

namespace assay::who_ran {

struct IndexFile {
  static Result<std::unique_ptr<IndexFile>> Open(const std::string& path);
  static Result<std::unique_ptr<IndexFile>> OfBytes(Bytes bytes);
  MappedFile file;
  Bytes memory;
  ByteView bytes;  // of one of them
  Header h{};

  Result<> Check();
  Result<> CheckContent() const;
  template <typename T>
  T At(std::uint64_t table, std::uint64_t row) const {
    T value;
    std::memcpy(&value, bytes.data() + table + row * sizeof(T), sizeof(T));
    return value;
  }
  std::string_view NameAt(std::uint32_t number) const;  // empty: the row is damaged
  std::optional<std::uint32_t> HostNumber(std::string_view name) const;
  std::optional<std::uint64_t> RowOf(const Value& value) const;
  Result<ByteView> SetsAt(std::uint64_t row) const;
  Result<ValueSets> ValueAt(std::uint64_t row) const;
  Error Bad(std::uint64_t at, std::string what) const { return ParseError("who-ran", at, std::move(what)); }
};

}  // namespace assay::who_ran
