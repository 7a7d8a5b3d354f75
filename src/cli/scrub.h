// What a support bundle may show of a text or a configuration: everything but secrets.
//
//   Scrubber scrubber({"hunter2"});                                      // secrets of this machine
//   log::Info("{}", scrubber.Text("password=x, and hunter2"));           // both are withheld
//   log::Info("{}", scrubber.Configuration(R"({"tpm": {"pw": "x"}})"));  // so is x
//
// Contract: Text() takes away the given secrets, private keys and other PEM blocks, what follows a word for
// secrets and = or :, passwords in addresses, and what an error quotes of a file. Configuration() leaves
// comments out, and of the values keeps only numbers, booleans, and strings of the forms that assayd knows
// (paths, addresses, names): whatever else is there may be a secret in the wrong place. Lines are cut at 4096
// bytes. A heuristic finds no secret of a form that nobody thought of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace assay::cli {

class Scrubber {
 public:
  // Secrets of fewer than kShortest bytes are not looked for: they would be found everywhere.
  static constexpr std::size_t kShortest = 4;
  explicit Scrubber(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {}
  std::string Text(std::string_view text);
  std::string Configuration(std::string_view json);  // "" if it is no JSON
  std::size_t withheld() const { return withheld_; }

 private:
  std::string Line(std::string line);
  std::vector<std::string> secrets_;
  bool in_pem_ = false;
  std::size_t withheld_ = 0;
};

}  // namespace assay::cli
