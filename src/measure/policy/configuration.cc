#include "measure/policy/configuration.h"

#include <algorithm>
#include <iterator>

#include "measure/policy/configuration_table.h"
#include "measure/policy/word_list.h"

namespace assay::measure {
namespace {

using table::ReaderRow;

bool Reads(const ReaderRow& row, std::string_view path) {
  return HasGlobFor(row.files, path) || (row.pam && HasGlobFor(table::kPamFiles, path));
}

}  // namespace

Reader ReaderNamed(std::string_view path) {
  const std::string_view name = ProgramName(path);
  for (const ReaderRow& row : table::kReaders)
    if (HasGlobFor(row.names, name)) return row.id;
  return Reader::kNone;
}

bool IsConfigurationOf(Reader reader, std::string_view path) {
  return std::any_of(std::begin(table::kReaders), std::end(table::kReaders),
                     [&](const ReaderRow& row) { return row.id == reader && Reads(row, path); });
}

bool IsConfiguration(std::string_view path) {
  return std::any_of(std::begin(table::kReaders), std::end(table::kReaders),
                     [&](const ReaderRow& row) { return Reads(row, path); });
}

std::string ConfigurationName(std::string_view path) {
  return std::string(kConfigurationPrefix) + std::string(path);
}

std::string_view ConfigurationPath(std::string_view name) {
  return name.starts_with(kConfigurationPrefix) ? name.substr(kConfigurationPrefix.size())
                                                : std::string_view();
}

std::string DefaultPlaceOf(std::string_view path) {
  for (const table::DefaultRow& row : table::kDefaults)
    if (path.starts_with(row.folder))
      return std::string(row.defaults) + std::string(path.substr(row.folder.size()));
  return "";
}

}  // namespace assay::measure
