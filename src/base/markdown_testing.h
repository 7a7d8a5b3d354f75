// For tests that compare a table of the documentation with the code.
//
//   // given: const std::string& text
//   for (const std::vector<std::string>& cells : MarkdownRows(text)) log::Info("{}", cells[0]);
//
// Contract: the rows whose first cell is `in backquotes`, without the quotes; cells are separated by " | ". A
// regular expression is not used: gcc 12 warns of std::regex under sanitizers.
#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace assay {

inline std::vector<std::vector<std::string>> MarkdownRows(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `") || !line.ends_with(" |")) continue;
    std::vector<std::string> cells;
    for (std::size_t at = 2, end = 0; end + 2 < line.size(); at = end + 3) {
      end = line.find(" | ", at);
      if (end == std::string::npos) end = line.size() - 2;
      cells.push_back(line.substr(at, end - at));
    }
    std::string& first = cells.front();
    if (first.size() < 2 || first.find('`', 1) != first.size() - 1) continue;
    first = first.substr(1, first.size() - 2);
    rows.push_back(std::move(cells));
  }
  return rows;
}

}  // namespace assay
