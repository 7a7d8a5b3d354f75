// Debian's OVAL definitions (https://www.debian.org/security/oval/). docs/formats/advisories.md
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "reference/advisory_forms.h"
#include "reference/xml.h"

namespace assay::reference {
namespace {

constexpr std::string_view kFormat = "advisories";
constexpr std::string_view kPlatform = "Debian GNU/Linux ";

struct Definition {
  std::string record;  // "DSA-5764-1"; empty: it has none
  std::set<std::string> cves;
  std::vector<std::string> platforms;
  std::vector<std::string> tests;
  bool negated = false;  // it has a condition that must not hold, which is not understood here
};
struct Test {
  std::string object, state;
};
struct State {
  std::string operation, version;
};

class Oval : public XmlVisitor {
 public:
  Result<> Start(std::string_view element, const XmlAttributes& attributes) override {
    const auto value = [&](std::string_view name) {
      const auto found = attributes.find(name);
      return found == attributes.end() ? std::string() : found->second;
    };
    if (depth_++ == 0 && element != "oval_definitions")
      return Fail(ParseError(std::string(kFormat), 0, "XML that is not OVAL"));
    if (element == "definition") {
      definition_.emplace();
    } else if (element == "dpkginfo_test") {
      at_ = value("id");
      tests_[at_] = {};
    } else if (element == "dpkginfo_object") {
      at_ = value("id");
      objects_[at_] = {};
    } else if (element == "dpkginfo_state") {
      at_ = value("id");
      states_[at_] = {};
    } else if (element == "object" && tests_.contains(at_)) {
      tests_[at_].object = value("object_ref");
    } else if (element == "state" && tests_.contains(at_)) {
      tests_[at_].state = value("state_ref");
    } else if (element == "evr" && states_.contains(at_)) {
      states_[at_].operation = value("operation");
    } else if (definition_ && element == "reference") {
      const std::string id = CleanText(value("ref_id"));
      if (id.starts_with("CVE-")) definition_->cves.insert(id);
    } else if (definition_ && element == "criterion") {
      definition_->tests.push_back(value("test_ref"));
      definition_->negated |= value("negate") == "true";
    } else if (definition_ && (element == "criteria" || element == "extend_definition")) {
      definition_->negated |= value("negate") == "true" || element == "extend_definition";
    }
    return {};
  }

  Result<> End(std::string_view element, std::string_view content) override {
    --depth_;
    if (element == "definition" && definition_) {
      definitions_.push_back(std::move(*definition_));
      definition_.reset();
    } else if (definition_ && element == "title") {
      // "DSA-5764-1 openssl", "CVE-2024-6119 openssl"
      const std::string first = CleanText(content.substr(0, content.find(' ')));
      if (first.starts_with("DSA-") || first.starts_with("DLA-")) definition_->record = first;
    } else if (definition_ && element == "platform") {
      definition_->platforms.push_back(CleanText(content));
    } else if (element == "name" && objects_.contains(at_)) {
      objects_[at_] = CleanText(content);
    } else if (element == "evr" && states_.contains(at_)) {
      states_[at_].version = CleanText(content);
    } else if (element == "dpkginfo_test" || element == "dpkginfo_object" || element == "dpkginfo_state") {
      at_.clear();
    }
    return {};
  }

  void Take(const FeedOptions& options, AdvisoryFeed& out) const {
    for (const Definition& d : definitions_) {
      if (!IsOfRelease(d, options.release)) continue;
      if (d.negated || d.cves.empty()) {
        ++out.not_understood;
        continue;
      }
      for (const std::string& id : d.tests) TakeTest(d, id, options, out);
    }
  }

 private:
  // "Debian GNU/Linux 12"; that of older releases was "9.0".
  static bool IsOfRelease(const Definition& d, const Release& release) {
    if (!release.ecosystem.starts_with("Debian:")) return false;
    const std::string wanted = std::string(kPlatform) + release.ecosystem.substr(7);
    for (const std::string& p : d.platforms)
      if (p == wanted || p.starts_with(wanted + ".") || p == std::string(kPlatform) + release.codename)
        return true;
    return false;
  }

  // Other tests are of the release and the architecture.
  void TakeTest(const Definition& d, const std::string& id, const FeedOptions& options,
                AdvisoryFeed& out) const {
    const auto test = tests_.find(id);
    if (test == tests_.end()) return;
    const auto object = objects_.find(test->second.object);
    const auto state = states_.find(test->second.state);
    if (object == objects_.end() || state == states_.end() || object->second.empty() ||
        state->second.operation != "less than" || state->second.version.empty()) {
      ++out.not_understood;
      return;
    }
    std::string fixed = state->second.version;
    if (fixed.starts_with("0:")) fixed.erase(0, 2);
    // Nothing is earlier than 0: it stands for what is not fixed, and for what was never there.
    if (fixed == "0" || fixed == "0-0") {
      ++out.unfixed;
      return;
    }
    for (const std::string& cve : d.cves) {
      FeedEntry entry;
      entry.source = object->second;
      entry.advisory = {.id = cve, .record = d.record, .severity = "", .fixed = fixed};
      TakeEntry(std::move(entry), options, out);
    }
  }

  std::size_t depth_ = 0;
  std::string at_;  // the id of the test, object or state that is being read
  std::optional<Definition> definition_;
  std::vector<Definition> definitions_;
  std::map<std::string, Test> tests_;
  std::map<std::string, std::string> objects_;  // the package's name
  std::map<std::string, State> states_;
};

}  // namespace

bool IsXml(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  return first != std::string_view::npos && text[first] == '<';
}

Result<> ReadOval(std::string_view text, const FeedOptions& options, AdvisoryFeed& out) {
  Oval oval;
  ASSAY_TRY(ReadXml(text, kFormat, oval));
  oval.Take(options, out);
  return {};
}

}  // namespace assay::reference
