#include "daemon/config_places.h"

#include <fmt/core.h>

#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

namespace assay::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 32, kMaxMembers = 65536;

// A position in the text that counts the lines behind it.
struct Counting {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* at;
  std::size_t* line;
  reference operator*() const { return *at; }
  Counting& operator++() {
    if (*at == '\n') ++*line;
    ++at;
    return *this;
  }
  Counting operator++(int) {
    Counting before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Counting& o) const { return at == o.at; }
  bool operator!=(const Counting& o) const { return at != o.at; }
};

class Reader : public json::json_sax_t {
 public:
  Reader(const std::size_t& line, Places::Lines& lines, Places::Lines& repeated,
         std::optional<Places::Broken>& broken)
      : line_(line), lines_(lines), repeated_(repeated), broken_(broken) {}
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return Enter(); }
  bool start_array(std::size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    path_.back().clear();
    for (const char c : name) c == '/' ? path_.back() += "~1" : path_.back() += c;
    std::string member;
    for (const std::string& part : path_) member += (member.empty() || part.empty() ? "" : "/") + part;
    if (lines_.size() >= kMaxMembers) return true;
    if (!lines_.emplace(member, line_).second) repeated_.emplace(std::move(member), line_);
    return true;
  }
  bool parse_error(std::size_t, const std::string& token, const nlohmann::detail::exception& error) override {
    const std::string_view what = error.what();
    const std::size_t dash = what.rfind(" - ");
    broken_ = {.line = line_,
               .what = dash != std::string_view::npos ? std::string(what.substr(dash + 3))
                                                      : fmt::format("unexpected '{}'", token)};
    return false;
  }

 private:
  bool Enter() {
    path_.emplace_back();
    if (path_.size() <= kMaxDepth) return true;
    broken_ = {.line = line_, .what = "too deep"};
    return false;
  }
  bool Leave() {
    path_.pop_back();
    return true;
  }
  const std::size_t& line_;
  Places::Lines &lines_, &repeated_;
  std::optional<Places::Broken>& broken_;
  std::vector<std::string> path_;
};

}  // namespace

Places::Places(std::string_view text) {
  std::size_t line = 1;
  Reader reader(line, lines_, repeated_, broken_);
  const char* begin = text.data();
  constexpr bool kWhole = true, kComments = true;
  json::sax_parse(Counting{begin, &line}, Counting{begin + text.size(), &line}, &reader,
                  nlohmann::detail::input_format_t::json, kWhole, kComments);
}

std::size_t Places::LineOf(std::string_view member) const {
  while (true) {
    if (const auto found = lines_.find(member); found != lines_.end()) return found->second;
    const std::size_t slash = member.rfind('/');
    if (slash == std::string_view::npos) return 1;
    member = member.substr(0, slash);
  }
}

}  // namespace assay::daemon
